"""Peak memory of sources → documents → shards, at two sizes of corpus: it should not grow with the size.

    python bench/memory_of_data.py

The text is words of children's books in random order with numbered lines, so that no two documents are the same; it is
written to a temporary folder. Each step runs in a process of its own. Prints one JSON object.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from groundup.core.progress import Reporter
from groundup.data.config import DataConfig, Source
from groundup.data.documents import build_documents, iter_documents
from groundup.data.shards import Vocabulary, write_shards

WORDS_FROM = Path(__file__).parents[2] / "shared/data/corpora/children.txt"


def make_corpus(folder: Path, megabytes: int) -> None:
    words = WORDS_FROM.read_text(encoding="utf-8")[:2_000_000].split()
    chance = random.Random(0)
    folder.mkdir()
    for number in range(10):
        with (folder / f"{number}.jsonl").open("w", encoding="utf-8") as file:
            left, line = megabytes * 100_000, 0
            while left > 0:
                text = f"{number} {line}: " + " ".join(chance.choices(words, k=chance.randint(50, 600)))
                left -= file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                line += 1


def encode_bytes(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    parts = [text.encode() for text in texts]
    return np.frombuffer(b"".join(parts), np.uint8).astype(np.uint32), np.cumsum([0, *map(len, parts)])


def run_step(step: str, folder: Path) -> None:
    """In the child: one step, then its peak memory and speed as JSON."""
    reporter, start = Reporter(quiet=True), time.perf_counter()
    before = peak_mib()
    if step == "documents":
        config = DataConfig(sources=(Source(path=str(folder / "corpus")),))
        facts = build_documents(config, folder / "documents", folder / "cache", 0, reporter)
        size = facts["seen"]["bytes"]
    else:
        facts = write_shards(
            iter_documents(folder / "documents", "train"),
            encode_bytes,
            folder / "shards",
            split="train",
            vocabulary=Vocabulary("bytes", 257, 256),
            shard_tokens=64_000_000,
            reporter=reporter,
        )
        size = facts["bytes"]
    seconds = time.perf_counter() - start
    measured = {"peak_mib": round(peak_mib()), "imports_mib": round(before), "mb_per_second": size / seconds / 1e6}
    print(json.dumps(measured))


def peak_mib() -> float:
    """Not ru_maxrss, which a child takes over from its parent on Linux."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_step(options.step, options.folder)
        return
    results = {}
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory() as name:
            make_corpus(Path(name) / "corpus", megabytes)
            for step in ("documents", "shards"):
                command = [sys.executable, __file__, "--step", step, "--folder", name]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results.setdefault(f"{megabytes} MB", {})[step] = json.loads(done.stdout)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
