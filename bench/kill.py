"""Law 4 for any recipe: a build that is killed again and again ends with the bytes of one that never was.

Builds the recipe once undisturbed, then again with its decisions (--same-as) while `kill -9` comes at random moments,
and compares weights, artifacts and losses. Prints one line of JSON; the exit code is 1 where anything differs.

    python bench/kill.py recipes/shakespeare.toml --kills 5 --seed 1 --folder FOLDER
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from groundup.core.files import sha256_of
from groundup.train.metrics import read_metrics

GROUNDUP = Path(sys.executable).with_name("groundup")
# Where both builds do the same, times differ: of metrics only these are compared.
LOSSES = ("step", "loss", "bits_per_byte", "grad_norm", "lr", "validation_loss", "validation_bits_per_byte")


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """A build in a process group of its own, so that a kill takes what it has started with it."""
    command = [str(GROUNDUP), "build", *words, "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a build that is let be."""
    told = process.communicate()[1].decode()
    if process.returncode:
        sys.exit(f"the build failed:\n{told}")


def build_undisturbed(words: list[str], run: Path) -> float:
    """Seconds of work of all stages; a run that is finished already is taken as it is."""
    finish(start([*words, str(run)]))
    return sum(json.loads(path.read_text())["seconds"] for path in run.glob("*/manifest.json"))


def kill_moments(kills: int, seconds: float, seed: int) -> list[float]:
    """One moment in each of as many equal parts of the time; the end is left out, for decisions need no time again."""
    source = random.Random(seed)
    return [(i + source.random()) / kills * 0.8 * seconds for i in range(kills)]


def build_killed(words: list[str], moments: list[float]) -> list[str]:
    """Build with kills after the given seconds of work, all attempts together; what was at work at each kill."""
    killed, before = [], 0.0
    for moment in moments:
        process = start(words)
        assert process.stderr
        told = [process.stderr.readline().decode()]
        try:
            process.wait(moment - before)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        before = moment
        told += process.communicate()[1].decode().splitlines()
        if process.returncode == 0:
            return killed
        killed.append(told[-1].strip())
    finish(start(words))
    return killed


def contents(run: Path) -> dict[str, Any]:
    """What must not differ: hashes of artifacts and weights, and losses."""
    manifests = {path.parent.name: json.loads(path.read_text()) for path in run.glob("*/manifest.json")}
    return {
        "artifacts": {name: manifest["hash"] for name, manifest in sorted(manifests.items())},
        "weights": {path.parent.name: sha256_of(path) for path in sorted(run.glob("*/model.safetensors"))},
        "losses": {
            path.parent.name: [{key: row[key] for key in LOSSES if key in row} for row in read_metrics(path)]
            for path in sorted(run.glob("*/metrics.jsonl"))
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the two runs are kept (default: a temporary folder)")
    given, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        undisturbed, disturbed = folder / "undisturbed", folder / "killed"
        words = [given.recipe, *overrides, "--out"]
        seconds = build_undisturbed(words, undisturbed)
        moments = kill_moments(given.kills, seconds, given.seed)
        killed = build_killed([*words, str(disturbed), "--same-as", str(undisturbed)], moments)
        expected, found = contents(undisturbed), contents(disturbed)
        same = {key: expected[key] == found[key] for key in expected}
        result = {"recipe": given.recipe, "seed": given.seed, "kills": len(killed), "killed_at": killed}
        rows = sum(map(len, expected["losses"].values()))
        result |= {"identical": same, "weights": expected["weights"], "rows_of_losses": rows, "work_seconds": seconds}
    print(json.dumps(result))
    sys.exit(not all(same.values()))


if __name__ == "__main__":
    main()
