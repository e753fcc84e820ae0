"""Bulk encoding with GPT-2's vocabulary on one core: fastokens, tiktoken and tokenizers, same documents.

Each library gives its ids as it does fastest (buffers, where it has them); all ids are compared. Repeats of
the libraries are interleaved. "first" is a fresh encoder's first pass, which is what a build does; "again" is
its second pass over the same documents, where caches of words help.

    python bench/encoding.py --vocabulary FOLDER --corpus FILE
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tiktoken
import tokenizers

from groundup.core.progress import Reporter
from groundup.tokenizer.config import END_OF_TEXT, SPECIAL_TOKENS
from groundup.tokenizer.engine import FastEngine, PlainEngine
from groundup.tokenizer.existing import read_vocabulary
from groundup.tokenizer.pre_tokenizer import PRE_TOKENIZERS
from groundup.tokenizer.tokenizer import Tokenizer

DATA = Path("../shared/data")
DOCUMENT_CHARACTERS = 1 << 15
Ids = npt.NDArray[np.uint32]
Encoder = Callable[[list[str]], Ids]


def fast_encoder(source: str) -> Encoder:
    engine = FastEngine(source)
    return lambda texts: engine.encode_bulk(texts)[0]


def plain_encoder(source: str) -> Encoder:
    engine = PlainEngine(source)
    return lambda texts: engine.encode_bulk(texts)[0]


def tiktoken_encoder(source: str) -> Encoder:
    tokenizer = Tokenizer(source)
    ordinary = [token for token in tokenizer.ids() if token not in tokenizer.special_ids.values()]
    encoding = tiktoken.Encoding(
        "bench",
        pat_str=PRE_TOKENIZERS["gpt-2"].pattern,
        mergeable_ranks={tokenizer.token_bytes(token): token for token in ordinary},
        special_tokens={END_OF_TEXT: tokenizer.eot_id},
    )
    return lambda texts: np.concatenate([encoding.encode_to_numpy(text, disallowed_special=()) for text in texts])


ENCODERS = {
    f"fastokens {version('fastokens')}": fast_encoder,
    f"tiktoken {tiktoken.__version__}": tiktoken_encoder,
    f"tokenizers {tokenizers.__version__}": plain_encoder,
}


def timed(encode: Encoder, texts: list[str]) -> tuple[float, Ids]:
    start = time.perf_counter()
    ids = encode(texts)
    return time.perf_counter() - start, ids


def measure(source: str, texts: list[str], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each pass of each library; raises AssertionError where ids differ."""
    seconds: dict[str, dict[str, list[float]]] = {name: {"first": [], "again": []} for name in ENCODERS}
    expected = None
    for _ in range(repeats):
        for name, make in ENCODERS.items():
            encode = make(source)
            for which in ("first", "again"):
                taken, ids = timed(encode, texts)
                seconds[name][which].append(taken)
                expected = ids if expected is None else expected
                assert np.array_equal(ids, expected), f"{name} gives other ids"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=Path, default=DATA / "tokenizers/gpt2")
    parser.add_argument("--corpus", type=Path, default=DATA / "corpora/children.txt")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # fastokens does not heed RAYON_NUM_THREADS
    text = arguments.corpus.read_text(encoding="utf-8")
    texts = [text[i : i + DOCUMENT_CHARACTERS] for i in range(0, len(text), DOCUMENT_CHARACTERS)]
    size = len(text.encode())
    source = read_vocabulary(arguments.vocabulary, "gpt-2", SPECIAL_TOKENS, Reporter())
    seconds = measure(source, texts, arguments.repeats)
    medians = {
        name: {which: statistics.median(taken) for which, taken in passes.items()} for name, passes in seconds.items()
    }

    peer = next(name for name in medians if name.startswith("tiktoken"))
    print(f"{'library':20} {'first MB/s':>11} {'× tiktoken':>11} {'again MB/s':>11} {'× tiktoken':>11}")
    for name, taken in medians.items():
        cells = "".join(
            f" {size / taken[which] / 1e6:11.1f} {medians[peer][which] / taken[which]:11.1f}"
            for which in ("first", "again")
        )
        print(f"{name:20}{cells}")
    result = {
        "bytes": size,
        "documents": len(texts),
        "repeats": arguments.repeats,
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "seconds": seconds,
        "median_seconds": medians,
        "same_ids": True,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
