"""The figures on the page, worked out from a run: tiles, bars, the account of documents, the lineage."""

from collections.abc import Iterable
from dataclasses import dataclass

from groundup.core.progress import human_number, human_time
from groundup.report.data import Facts, Run, Stage

UNKNOWN = "unknown"

_SCORED = {
    "pretrain": "this model, pretrained",
    "sft": "this model, after chat training",
    "ngram": "n‑gram counts of the same text",
    "xz": "xz -9e",
    "bzip2": "bzip2 -9",
}
SPLITS = ("train", "validation")
_OURS = ("pretrain", "sft")


@dataclass(frozen=True)
class Tile:
    """One key figure."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart; `share` of the full length, in [0, 1]."""

    label: str
    value: str
    share: float
    kind: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the account of documents: amounts are None where unknown."""

    label: str
    documents: int | None
    n_bytes: int | None
    kind: str = ""


@dataclass(frozen=True)
class Account:
    """Seen = kept + rejected, and kept = the sum of the splits (Law 10)."""

    entries: list[Entry]
    sources: list[Bar]
    ignored: str
    train_bytes: int | None
    unaccounted: int | None
    """Documents seen that are neither kept nor rejected; None where `seen` is not known."""


@dataclass(frozen=True)
class Link:
    """An input of a stage; `holds` says whether the hash is still that of the stage in the folder."""

    stage: str
    hash: str
    holds: bool


@dataclass(frozen=True)
class Ancestor:
    """One row of the lineage."""

    stage: Stage
    links: list[Link]


def count(value: float | None, unit: str = "") -> str:
    """12345678 → '12.3M'."""
    return UNKNOWN if value is None else human_number(value, unit)


def whole(value: int | None) -> str:
    """12345 → '12,345'."""
    return UNKNOWN if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """75 → '1m 15s'."""
    return UNKNOWN if seconds is None else human_time(seconds)


def decimal(value: float | None, digits: int = 3) -> str:
    """A number with `digits` behind the point."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """0.1234 → '12.3%'."""
    return UNKNOWN if share is None else f"{100 * share:.{0 if share >= 0.995 else 1}f}%"


def visible(token: str) -> str:
    """A token with its white space and control characters made visible."""
    named = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
    return "".join(named.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}") for c in token)


def printable(text: str) -> str:
    """Text as it is, but for control characters, which HTML does not allow."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def held_out(run: Run) -> float | None:
    """Bits per byte of the pretrained model on held-out text; before `eval`, on its last validation."""
    scores = run.scores.get("bits_per_byte", {})
    validated = [row.get("validation_bits_per_byte") for row in run.pretrain.validations]
    last = validated[-1] if validated else None
    return scores.get("pretrain", run.facts("pretrain").get("validation_bits_per_byte", last))


def comparison(run: Run) -> str:
    """'17% fewer than n-gram counts and 30% fewer than xz', where these are known."""
    scores = run.scores.get("bits_per_byte", {})
    if "pretrain" not in scores:
        return ""
    words = []
    for name, label in (("ngram", "n‑gram counts of the same text"), ("xz", "xz")):
        if name in scores:
            share = 1 - scores["pretrain"] / scores[name]
            words.append(f"{abs(share):.0%} {'fewer' if share >= 0 else 'more'} than {label}")
    return " and ".join(words)


def tiles(run: Run) -> list[Tile]:
    """The key figures of the stages that are finished."""
    found = []
    if pretrain := run.facts("pretrain"):
        found += _training_tiles(run, pretrain)
    elif run.pretrain.steps:
        last = run.pretrain.steps[-1]
        found += [Tile("Tokens so far", count(last["tokens"]), f"step {last['step']}")]
    if (score := held_out(run)) is not None:
        where = "on text it never saw" if "pretrain" in run.scores.get("bits_per_byte", {}) else "on validation text"
        found.insert(0, Tile("Bits per byte", decimal(score), where))
    if data := run.facts("data"):
        documents = sum(split["documents"] for split in data.get("splits", {}).values())
        found.append(Tile("Text", count(_kept(data, "bytes"), "B"), f"{documents:,} documents"))
    if tokenizer := run.facts("tokenizer"):
        per_token = tokenizer.get("bytes_per_token")
        note = f"{per_token:.2f} bytes a token" if per_token is not None else ""
        found.append(Tile("Vocabulary", f"{tokenizer['vocab_size']:,}", note))
    if sft := run.facts("sft"):
        found.append(
            Tile(
                "Conversations",
                f"{sft['conversations']:,}",
                f"{count(sft.get('trained_tokens'))} tokens learned",
            )
        )
    return found


def _training_tiles(run: Run, facts: Facts) -> list[Tile]:
    """Of a finished pretraining."""
    embedding, tokens = facts.get("embedding_parameters"), facts.get("tokens")
    corpus = run.facts("tokens").get("train", {}).get("tokens")
    passes = f"{tokens / corpus:.1f} passes over the text" if tokens and corpus else ""
    device = " ".join(str(facts[key]) for key in ("device", "precision") if facts.get(key))
    peak = facts.get("peak_flops")
    of_peak = f"of {count(peak, 'FLOP/s')}" if peak else "peak unknown"
    return [
        Tile(
            "Parameters",
            count(facts.get("parameters")),
            f"{count(embedding)} of them embeddings" if embedding else "",
        ),
        Tile("Training time", duration(facts.get("train_seconds")), device),
        Tile("Tokens seen", count(tokens), passes),
        Tile(
            "Throughput",
            count(facts.get("tokens_per_second"), "tok/s"),
            f"{percent(facts.get('mfu'))} MFU {of_peak}",
        ),
    ]


def score_bars(run: Run) -> list[Bar]:
    """Held-out bits per byte of the model and of its baselines, fewest first."""
    scores = run.scores.get("bits_per_byte", {})
    longest = max(scores.values(), default=1.0)
    return [
        Bar(_SCORED.get(name, name), decimal(value), value / longest, "ours" if name in _OURS else "baseline")
        for name, value in sorted(scores.items(), key=lambda item: item[1])
    ]


def mean_share(rows: list[Facts], name: str) -> str:
    """Mean of a metric that is a share, over the rows that have it."""
    known = [row[name] for row in rows if row.get(name) is not None]
    return percent(sum(known) / len(known) if known else None)


def account(facts: Facts) -> Account:
    """The account of documents, from the facts of the stage `data`."""
    splits, rejected, seen = facts.get("splits", {}), facts.get("rejected", {}), facts.get("seen", {})
    entries = [Entry("Seen", seen.get("documents"), seen.get("bytes"), "total")]
    for reason, amount in sorted(rejected.items(), key=lambda item: -item[1]["bytes"]):
        entries.append(Entry(reason.replace("_", " "), amount["documents"], amount["bytes"], "minus"))
    kept = sum(split["documents"] for split in splits.values())
    entries.append(Entry("Kept", kept, _kept(facts, "bytes"), "total"))
    entries += [Entry(name, split["documents"], split["bytes"], "part") for name, split in splits.items()]
    lost = sum(amount["documents"] for amount in rejected.values())
    ignored = ", ".join(
        f"{number} × {ending or 'no ending'}" for ending, number in facts.get("ignored_files", {}).items()
    )
    unaccounted = seen["documents"] - kept - lost if "documents" in seen else None
    train_bytes = splits.get("train", {}).get("bytes")
    return Account(entries, _source_bars(facts.get("sources", {})), ignored, train_bytes, unaccounted)


def _source_bars(sources: Facts) -> list[Bar]:
    """Kept bytes of each source, most first."""
    kept = {name: sum(amount[split]["bytes"] for split in SPLITS) for name, amount in sources.items()}
    total = sum(kept.values()) or 1
    return [
        Bar(name, f"{count(n_bytes, 'B')} · {percent(n_bytes / total)}", n_bytes / total)
        for name, n_bytes in sorted(kept.items(), key=lambda item: -item[1])
    ]


def _kept(facts: Facts, unit: str) -> int:
    return sum(split[unit] for split in facts.get("splits", {}).values())


def lineage(stages: dict[str, Stage]) -> list[Ancestor]:
    """Each stage with its inputs, each input checked against the stage that is in the folder now."""
    return [
        Ancestor(
            stage,
            [Link(name, hash_, _holds(stages.get(name), hash_)) for name, hash_ in stage.inputs.items()],
        )
        for stage in stages.values()
    ]


def _holds(stage: Stage | None, hash_: str) -> bool:
    return stage is not None and stage.hash == hash_


def versions(run: Run) -> Iterable[tuple[str, str]]:
    """Versions that any stage was made with, each once; several where stages differ."""
    found: dict[str, set[str]] = {}
    for stage in run.stages.values():
        for name, version in stage.versions.items():
            found.setdefault(name, set()).add(version)
    return [(name, ", ".join(sorted(of))) for name, of in sorted(found.items())]
