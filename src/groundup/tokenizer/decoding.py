"""From ids to bytes, as the `decoder` of a tokenizer.json says it."""

import re
from dataclasses import dataclass
from typing import Any

from groundup.core.errors import UserError
from groundup.tokenizer.byte_level import to_bytes as characters_to_bytes

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class Decoding:
    """The bytes of each id."""

    table: list[bytes | None]
    """None: no token has this id."""
    leading_spaces: int = 0
    """So many spaces, if they are there, are taken off the beginning of a text: encoding put them there."""


def read_decoding(spec: dict[str, Any]) -> Decoding:
    """What the decoder of a tokenizer.json does to each token.

    Bytes that are no UTF-8 are given as they are; the `tokenizers` library replaces a whole run of bytes by
    U+FFFD if one of them does not fit. Raises UserError naming a decoder that joins tokens in another way.
    """
    steps = _steps(spec.get("decoder"))
    spaces = 0
    for step in steps:
        if step["type"] == "Strip":
            if step["content"] != " " or step["stop"]:
                raise _refusal("Strip of other than leading spaces")
            spaces = step["start"]
    vocabulary = vocabulary_of(spec)
    table: list[bytes | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    for token, number in vocabulary.items():
        table[number] = _bytes_of(token, steps)
    return Decoding(table, spaces)


def vocabulary_of(spec: dict[str, Any]) -> dict[str, int]:
    """The id of each token of a tokenizer.json, added ones included."""
    own = spec["model"]["vocab"]
    if isinstance(own, list):  # Unigram: pieces with their scores, in the order of their ids
        own = {piece: i for i, (piece, _) in enumerate(own)}
    return own | {token["content"]: token["id"] for token in spec["added_tokens"]}


def _steps(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    if decoder is None:
        raise _refusal("none, which puts spaces between tokens")
    if decoder["type"] == "Sequence":
        return [step for part in decoder["decoders"] for step in _steps(part)]
    known = decoder["type"] in ("ByteLevel", "ByteFallback", "Fuse", "Strip", "Replace")
    if not known or (decoder["type"] == "Replace" and "String" not in decoder["pattern"]):
        raise _refusal(decoder["type"])
    return [decoder]


def _refusal(what: str) -> UserError:
    return UserError(
        f"the tokenizer's decoder is not supported: {what}",
        "byte-level vocabularies and SentencePiece's with byte fallback are",
    )


def _bytes_of(token: str, steps: list[dict[str, Any]]) -> bytes:
    for step in steps:
        if step["type"] == "Replace":
            token = token.replace(step["pattern"]["String"], step["content"])
        elif step["type"] == "ByteFallback" and (found := _BYTE.fullmatch(token)):
            return bytes([int(found[1], 16)])
        elif step["type"] == "ByteLevel":
            try:
                return characters_to_bytes(token)
            except KeyError:  # an added token, which stands for itself
                return token.encode()
    return token.encode()
