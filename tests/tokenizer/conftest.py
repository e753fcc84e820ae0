import argparse
import inspect
import random
import typing
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.core.progress import Reporter
from groundup.tokenizer.config import TokenizerConfig
from groundup.tokenizer.tokenizer import Tokenizer
from groundup.tokenizer.train import train_bpe

DATA = Path(__file__).parents[3] / "shared" / "data"

MIXED = "".join(
    (
        " \n\r\t\u00a0\u2003\u3000\u2028",
        "abcxyzABC0123456789'’\"`~!@#$%^&*()_-+=<>|{}[]?/\\.,:;",
        "àéîõüßœæÀÉΑΩαωжЯיאعربहिंदीไทย中文日本語カナ한국어",
        "👩\u200d👩\u200d👧🙂🏽🇫🇮e\u0301\u200b\ufeff\ue000\ufffd\U0010ffff\x00\x1b",
    )
)
PHRASES = ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|pad|>", "it's", "WE'LL", " the", "\n\n", "    ")


def draw_mixed_strings(number: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    atoms = [*MIXED, *PHRASES]
    return ["".join(draw.choices(atoms, k=draw.randint(0, 40))) for _ in range(number)]


def code_texts() -> list[str]:
    return [Path(inspect.getfile(module)).read_text() for module in (argparse, inspect, typing, random)]


@pytest.fixture(scope="session")
def mixed_strings() -> Callable[..., list[str]]:
    return draw_mixed_strings


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return code_texts()


@pytest.fixture(scope="session")
def source(texts: list[str]) -> str:
    return train_bpe(TokenizerConfig(vocab_size=1024), texts, 10**6, Reporter(quiet=True))


@pytest.fixture(scope="session")
def tokenizer(source: str) -> Tokenizer:
    return Tokenizer(source)


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.exists():
        pytest.skip(f"real corpora are not at {DATA}")
    return DATA
