"""Vocabularies of SentencePiece's BPE: pieces with scores, of which llama.cpp and tokenizer.json say the same.

SentencePiece joins the two neighbors whose joint piece has the best score; tokenizer.json lists the pairs that may be
joined, the first first. Every way to make a piece of two others, ordered by score, is the one as the other.
Kudo and Richardson, "SentencePiece", 2018.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from groundup.core.errors import UserError

SPACE = "▁"
"""U+2581, which stands for a space in pieces."""

_PREPEND = {"type": "Prepend", "prepend": SPACE}
_REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
_SPLIT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
_METASPACE = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "", "split": False}
_HINT = "export to Hugging Face's format instead, which keeps any tokenizer"


def byte_piece(byte: int) -> str:
    """How a vocabulary spells a byte that no piece holds."""
    return f"<0x{byte:02X}>"


def merges_of(scores: Mapping[str, float], vocabulary: Iterable[str]) -> list[tuple[str, str]]:
    """All ways to make one of the pieces that have `scores` of two pieces of the vocabulary, the best score first."""
    known = set(vocabulary)
    found: list[tuple[str, str]] = []
    for piece in sorted(scores, key=lambda piece: -scores[piece]):
        cuts = range(len(piece) - 1, 0, -1)
        found += [(piece[:i], piece[i:]) for i in cuts if piece[:i] in known and piece[i:] in known]
    return found


def scores_of(spec: Mapping[str, Any]) -> dict[str, float]:
    """Scores for the pieces of a tokenizer.json: minus the place of the first way to make it; single ones last.

    Raises UserError if its merges are not those that follow from scores.
    """
    special = {token["content"] for token in spec["added_tokens"] if token["special"]}
    listed = (merge.split(" ") if isinstance(merge, str) else merge for merge in spec["model"]["merges"])
    merges = [tuple(merge) for merge in listed if not special & set(merge)]  # which no text can reach
    made = list(dict.fromkeys("".join(merge) for merge in merges))
    scores = {piece: -float(place) for place, piece in enumerate(made)}
    # The order of the ways to make one piece is nowhere told, and does not matter.
    if sorted(merges) != sorted(merges_of(scores, spec["model"]["vocab"].keys() - special)) or not _is_grouped(merges):
        raise UserError("the tokenizer's merges do not follow from scores of its pieces", _HINT)
    rest = (piece for piece in spec["model"]["vocab"] if piece not in scores)
    return scores | {piece: -float(place) for place, piece in enumerate(rest, len(made))}


def adds_space(spec: Mapping[str, Any]) -> bool:
    """Whether a space is put before a text. Raises UserError if llama.cpp has no way to cut text so.

    "Metaspace" puts none before a text that begins with one, SentencePiece and llama.cpp do even then.
    """
    normalizer, pre_tokenizer = spec["normalizer"], spec["pre_tokenizer"]
    if normalizer is not None:
        steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
        if steps in ([_PREPEND, _REPLACE], [_REPLACE]) and pre_tokenizer in (None, _SPLIT):
            return len(steps) == 2
    elif pre_tokenizer is not None and pre_tokenizer | {"prepend_scheme": ""} == _METASPACE:
        return pre_tokenizer["prepend_scheme"] != "never"
    raise UserError("llama.cpp has no way to cut text as this tokenizer does", _HINT)


def spelling(*, add_space: bool) -> dict[str, Any]:
    """What a tokenizer.json says beside the pieces."""
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if add_space else []
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    steps = [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]
    normalizer = {"type": "Sequence", "normalizers": [_PREPEND, _REPLACE]} if add_space else _REPLACE
    return {
        "normalizer": normalizer,
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": steps},
    }


def _is_grouped(merges: list[tuple[str, ...]]) -> bool:
    """Whether all ways to make one piece stand together."""
    pieces = ["".join(merge) for merge in merges]
    return len(list(groupby(pieces))) == len(set(pieces))
