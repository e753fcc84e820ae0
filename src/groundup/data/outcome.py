"""Whether what was built from the sources is fit to train on, and the facts that are told of it."""

import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from groundup.core.errors import UserError
from groundup.data.config import DataConfig
from groundup.data.document import Listing

REJECTS = "rejects.jsonl"
_HARMLESS = {"empty", "too_short", "duplicate"}
_MAX_NAMES = 20_000


def matches(pattern: str, name: str) -> bool:
    """Whether a holdout glob means a document: by its whole name, that of its file, or without the folder."""
    file = re.sub(r"#\d+$", "", name)
    ends = [full.rsplit("/", 1)[-1] for full in (name, file)]
    return any(fnmatchcase(part, pattern) for part in (name, file, *ends))


def check_holdout(holdout: Sequence[str], listings: Sequence[Listing]) -> None:
    """Raise UserError, before any file is read, for a pattern that matches none; later for one with #."""
    names = [file.name for listing in listings for file in listing.files]
    for pattern in holdout:
        if "#" not in pattern and not any(matches(pattern, name) for name in names):
            raise _unmatched(pattern, names)


def _unmatched(pattern: str, names: list[str]) -> UserError:
    plain = re.sub(r"[*?\[\]]|#.*", "", pattern)
    by_end = {name.rsplit("/", 1)[-1]: name for name in names[:_MAX_NAMES]}
    nearest = [by_end[end] for end in get_close_matches(plain.rsplit("/", 1)[-1], by_end, n=5, cutoff=0.0)]
    hint = f"the nearest names: {', '.join(nearest)}"
    return UserError(f"data.holdout: '{pattern}' matches no document", hint)


def check_outcome(config: DataConfig, state: dict[str, Any], listings: Sequence[Listing], folder: Path) -> None:
    """Raise UserError if too much was rejected, or a split is empty; `state` is that of the finished."""
    rejected: dict[str, list[int]] = state["rejected"]
    look = f"see {folder / REJECTS}"
    seen = _total(state["seen"])[1]
    bad = {reason: counts[1] for reason, counts in rejected.items() if reason not in _HARMLESS}
    if sum(bad.values()) > config.max_rejected * seen:
        worst = max(bad, key=lambda reason: bad[reason])
        raise UserError(
            f"{sum(bad.values()) / seen:.0%} of the bytes cannot be used, mostly '{worst}', "
            f"first in {state['first_reject'][worst]}",
            f"{look}; put the files right, leave them out, or raise data.max_rejected",
        )
    kept = {split: _total(counts)[0] for split, counts in state["kept"].items()}
    reasons = ", ".join(f"{counts[0]} {reason}" for reason, counts in rejected.items()) or "none"
    if not any(kept.values()):
        raise UserError(f"no document is left; rejected: {reasons}", look)
    for pattern in set(config.holdout) - set(state["matched"]):
        raise _unmatched(pattern, [file.name for listing in listings for file in listing.files])
    if not kept["validation"]:
        raise UserError(
            f"all of the {kept['train']} documents went to training, none to validation",
            "name some in data.holdout, raise data.validation_fraction, or cut files with a separator",
        )
    if not kept["train"]:
        raise UserError("data.holdout matches every document, none is left to train on", "hold out fewer")


def assert_reconciled(state: dict[str, Any]) -> None:
    """Every record was kept or has a counted reason (Law 10)."""
    kept = [_total(counts) for counts in state["kept"].values()]
    lost = _total(state["rejected"])
    for i, seen in enumerate(_total(state["seen"])[:2]):
        assert seen == sum(counts[i] for counts in kept) + lost[i], state


def describe_outcome(state: dict[str, Any], listings: Sequence[Listing]) -> dict[str, Any]:
    """Counts of documents, bytes of text, and characters; what was dropped and what was ignored."""
    ignored = sum((Counter(listing.ignored) for listing in listings), Counter())
    splits = {split: _named(_total(counts)) for split, counts in state["kept"].items()}
    sources = {
        listing.label: {
            "files": len(listing.files),
            "seen": _named(state["seen"].get(listing.label, [0, 0])),
        }
        | {split: _named(counts.get(listing.label, [0, 0, 0])) for split, counts in state["kept"].items()}
        for listing in listings
    }
    rejected = {reason: _named(counts) for reason, counts in sorted(state["rejected"].items())}
    return {
        "seen": _named(_total(state["seen"])[:2]),
        "splits": splits,
        "sources": sources,
        "rejected": rejected,
        "ignored_files": dict(sorted(ignored.items())),
    }


def _total(counts: dict[str, list[int]]) -> list[int]:
    return [sum(column) for column in zip(*counts.values(), strict=True)] or [0, 0, 0]


def _named(counts: list[int]) -> dict[str, int]:
    return dict(zip(("documents", "bytes", "characters"), counts, strict=False))
