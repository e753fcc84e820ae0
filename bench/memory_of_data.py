"""Peak memory of the stages data, tokenizer and tokens, at two sizes of corpus: it should not grow with the size.

    python bench/memory_of_data.py

The text is words of children's books in random order with numbered lines, so that no two documents are the same; it is
written to a temporary folder. Each stage runs in a process of its own. Prints one JSON object.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from groundup.core.interrupt import Interrupts
from groundup.core.progress import Reporter
from groundup.data.config import DataConfig, Source
from groundup.pipeline.build import BuildOptions, build
from groundup.pipeline.recipe import Recipe
from groundup.train.config import TrainConfig

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


def run_stage(stage: str, folder: Path) -> None:
    """In the child: one stage (those before it are done and skipped), then its peak memory and speed as JSON."""
    recipe = Recipe(
        name="memory",
        data=DataConfig(sources=(Source(path=str(folder / "corpus"), name="words"),)),
        pretrain=TrainConfig(steps=1),
    )
    before = peak_mib()
    result = build(recipe, folder / "run", BuildOptions(until=stage), Reporter(quiet=True), Interrupts())
    seconds = result.stages[-1].seconds
    size = result.artifacts["data"].manifest.facts["splits"]["train"]["bytes"]
    measured = {"peak_mib": round(peak_mib()), "imports_mib": round(before), "mb_per_second": size / seconds / 1e6}
    print(json.dumps(measured))


def peak_mib() -> float:
    """Not ru_maxrss, which a child takes over from its parent on Linux."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(options.stage, options.folder)
        return
    results = {}
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory() as name:
            make_corpus(Path(name) / "corpus", megabytes)
            for stage in ("data", "tokenizer", "tokens"):
                command = [sys.executable, __file__, "--stage", stage, "--folder", name]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results.setdefault(f"{megabytes} MB", {})[stage] = json.loads(done.stdout)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
