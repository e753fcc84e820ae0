"""The byte-level alphabet of GPT-2: each byte has a printable character, so that BPE can work on strings.

Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (section 2.2).
"""

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


def _alphabet() -> list[str]:
    stand_in = iter(range(0x100, 0x200))
    return [chr(byte) if byte in _PRINTABLE else chr(next(stand_in)) for byte in range(256)]


BYTE_TO_CHARACTER = _alphabet()
"""The character of each of the 256 bytes."""

_CHARACTER_TO_BYTE = {character: byte for byte, character in enumerate(BYTE_TO_CHARACTER)}


def to_characters(data: bytes) -> str:
    """Bytes as they stand in a vocabulary: b' a' → 'Ġa'."""
    return "".join(BYTE_TO_CHARACTER[byte] for byte in data)


def to_bytes(characters: str) -> bytes:
    """The inverse of `to_characters`. Raises KeyError for a character outside the alphabet."""
    return bytes(_CHARACTER_TO_BYTE[character] for character in characters)
