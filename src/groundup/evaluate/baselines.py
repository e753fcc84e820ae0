"""What general compressors make of the held-out text: the bar that a language model must clear."""

import bz2
import lzma
from collections.abc import Iterable
from typing import Protocol

from groundup.core.errors import UserError

_XZ_PRESET = 9 | lzma.PRESET_EXTREME
_BZIP2_LEVEL = 9


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def compressor_bits_per_byte(texts: Iterable[str]) -> dict[str, float]:
    """Bits per byte of `xz -9e` and `bzip2 -9` on the concatenation of `texts` as UTF-8.

    Bits per byte = 8 x (bytes of the compressed file, container included) / (bytes of the text), so it
    compares with a model's cross-entropy, summed in bits over the same bytes. The texts stream through, one
    at a time; memory is bounded by the compressors' windows (about 700 MB for xz -9). A compressor starts
    knowing nothing, where a model has read the training text: the n-gram in `ngram` is the bar that has
    read it too. Raises UserError if there is no text.
    """
    compressors: dict[str, _Compressor] = {
        "xz": lzma.LZMACompressor(preset=_XZ_PRESET),
        "bzip2": bz2.BZ2Compressor(_BZIP2_LEVEL),
    }
    n_bytes = 0
    compressed = dict.fromkeys(compressors, 0)
    for text in texts:
        data = text.encode()
        n_bytes += len(data)
        for name, compressor in compressors.items():
            compressed[name] += len(compressor.compress(data))
    if not n_bytes:
        raise UserError("the held-out text is empty", "give the validation split at least one document")
    for name, compressor in compressors.items():
        compressed[name] += len(compressor.flush())
    return {name: 8 * length / n_bytes for name, length in compressed.items()}
