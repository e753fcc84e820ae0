"""Two ways to encode: fastokens, which is fast, and its plain twin `tokenizers`, which is the reference."""

from typing import Protocol

import fastokens
import numpy as np
import numpy.typing as npt
import tokenizers

from groundup.core.progress import Reporter

_PROBE = (
    "It's 1,234 o'clock…\n\n  Señor 東京 🙂\u200d↕️ e\u0301\t<|endoftext|> if (x) {\r\n"
    "    return;\n}\n\n\n x\u00a0\u2003y "
)
"""What both engines must encode alike before the fast one is trusted with a vocabulary."""


class Engine(Protocol):
    """Encodes text with one tokenizer.json."""

    name: str

    def encode(self, text: str, *, allow_special: bool) -> list[int]:
        """Ids of `text`; special tokens written in it become special ids only with `allow_special`."""
        ...

    def encode_bulk(self, texts: list[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Ids of all texts end to end (N), and where each text begins and ends in them (len(texts) + 1)."""
        ...


class FastEngine:
    """fastokens. Uses all cores for bulk work."""

    name = "fastokens"

    def __init__(self, source: str) -> None:
        self._tokenizer = fastokens.Tokenizer.from_json_str(source)

    def encode(self, text: str, *, allow_special: bool) -> list[int]:
        """See `Engine`."""
        return self._tokenizer.encode(text, split_special_tokens=not allow_special).ids

    def encode_bulk(self, texts: list[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """See `Engine`."""
        ids, offsets = self._tokenizer.encode_batch_flat(texts, split_special_tokens=True)
        return np.frombuffer(ids, dtype="<u4"), np.frombuffer(offsets, dtype="<u8").astype(np.int64)


class PlainEngine:
    """Hugging Face `tokenizers`."""

    name = "tokenizers"

    def __init__(self, source: str | tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_str(source) if isinstance(source, str) else source

    def encode(self, text: str, *, allow_special: bool) -> list[int]:
        """See `Engine`."""
        self._tokenizer.encode_special_tokens = not allow_special
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_bulk(self, texts: list[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """See `Engine`."""
        self._tokenizer.encode_special_tokens = True
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        parts = [np.array(item.ids, dtype=np.uint32) for item in encoded]
        offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return np.concatenate([np.empty(0, np.uint32), *parts]), offsets


def open_engine(source: str, reporter: Reporter) -> Engine:
    """The fast engine if it loads this vocabulary and agrees with the plain one; else that, and a warning."""
    plain = PlainEngine(source)
    try:
        fast = FastEngine(source)
    except ValueError as error:
        reporter.warn(f"fastokens cannot load this vocabulary ({error}): encoding with tokenizers, which is slower")
        return plain
    for allow_special in (False, True):
        if fast.encode(_PROBE, allow_special=allow_special) != plain.encode(_PROBE, allow_special=allow_special):
            reporter.warn("fastokens encodes a probe differently: encoding with tokenizers, which is slower")
            return plain
    return fast
