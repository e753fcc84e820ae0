"""A recipe that is built in seconds, and the command line as a person and as a machine call it."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.app import main

GROUNDUP = Path(sys.executable).with_name("groundup")
STAGES = ("data", "tokenizer", "tokens", "pretrain", "sft", "eval")
# A copy of some of this project's own code: the text must not change between two builds of a test.
CODE = Path(__file__).parents[1] / "src" / "groundup" / "tokenizer"
RECIPE = """
name = "tiny"
[data]
validation_fraction = 0.2
sources = [{ path = "text", name = "code" }]
[tokenizer]
vocab_size = 400
[model]
n_layers = 2
d_model = 32
n_heads = 2
max_seq_len = 64
[pretrain]
steps = 6
global_batch_tokens = 256
evaluations = 2
evaluation_rows = 4
checkpoint_seconds = 0
[eval]
sample_tokens = 8
"""
SFT = """
[sft]
steps = 3
global_batch_tokens = 256
evaluations = 1
evaluation_rows = 4
[sft.conversations.dialogue]
speaker = '(def|class) .*'
border = '^import'
assistant = "{speech}"
"""


def write_project(folder: Path, *, sft: bool = True) -> Path:
    """A folder of text and a recipe for it; returns the recipe."""
    shutil.copytree(CODE, folder / "text", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "tiny.toml"
    path.write_text(RECIPE + (SFT if sft else ""))
    return path


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line on stdout (Law 13)."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def told(self) -> str:
        """The last line on stderr."""
        return self.err.splitlines()[-1]


def run_groundup(*words: object, **options: Any) -> Outcome:
    """The real console script, to its end."""
    command = [GROUNDUP, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def started_groundup(*words: object, **options: Any):
    """The real console script while it runs; killed at the end of the block."""
    command = [GROUNDUP, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def call_groundup(capsys: pytest.CaptureFixture[str], *words: object) -> Outcome:
    """The command line in this process, which saves the seconds that torch takes to be imported."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert isinstance(left.value.code, int)
    return Outcome(left.value.code, *capsys.readouterr())
