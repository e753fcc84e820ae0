"""How good a vocabulary is, measured."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundup.core.progress import Reporter
from groundup.tokenizer.config import SPECIAL_TOKENS
from groundup.tokenizer.existing import read_vocabulary
from groundup.tokenizer.tokenizer import Tokenizer

_LONGEST = 20


def tokenizer_report(
    tokenizer: Tokenizer,
    texts: list[str],
    *,
    gpt2: Path | None = None,
    counts: npt.NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Figures of a tokenizer on held-out `texts`, ready for JSON; None stands for unknown.

    `gpt2`: folder with GPT-2's encoder.json and vocab.bpe, for comparison. `counts` (V): how often each id
    occurs in the training tokens; without them, unused tokens are counted on `texts`.

    Speed is that of one pass on all cores: engines remember words, a second pass would flatter them.
    """
    size = sum(len(text.encode()) for text in texts)
    words = sum(len(text.split()) for text in texts)
    start = time.perf_counter()
    ids, _ = tokenizer.encode_bulk(texts)
    seconds = time.perf_counter() - start
    if counts is None:
        counts = np.bincount(ids, minlength=tokenizer.vocab_size)
    special = set(tokenizer.special_ids.values())
    unused = [int(token) for token in np.flatnonzero(counts == 0) if int(token) not in special]
    return {
        "vocab_size": tokenizer.vocab_size,
        "hash": tokenizer.hash,
        "special_tokens": tokenizer.special_ids,
        "llama_cpp_pre_tokenizer": tokenizer.llama_cpp_name,
        "engine": tokenizer.engine_name,
        "held_out_bytes": size,
        "held_out_tokens": len(ids),
        "bytes_per_token": _ratio(size, len(ids)),
        "gpt2_bytes_per_token": _ratio(size, _gpt2_tokens(gpt2, texts)) if gpt2 else None,
        "tokens_per_word": _ratio(len(ids), words),
        "unused_tokens": len(unused),
        "unused_ids": unused,
        "longest_tokens": longest_tokens(tokenizer),
        "encode_megabytes_per_second": size / seconds / 1e6 if size else None,
    }


def longest_tokens(tokenizer: Tokenizer, number: int = _LONGEST) -> list[dict[str, Any]]:
    """The ordinary tokens of the most bytes, longest first: a look at what the vocabulary was spent on."""
    special = set(tokenizer.special_ids.values())
    sizes = [(-len(tokenizer.token_bytes(i)), i) for i in tokenizer.ids() if i not in special]
    return [
        {"id": i, "bytes": -size, "text": tokenizer.token_bytes(i).decode("utf-8", "replace")}
        for size, i in sorted(sizes)[:number]
    ]


def _gpt2_tokens(folder: Path, texts: list[str]) -> int:
    reporter = Reporter(quiet=True)
    source = read_vocabulary(folder, "gpt-2", SPECIAL_TOKENS, reporter)
    return len(Tokenizer(source, reporter=reporter).encode_bulk(texts)[0])


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
