"""A quick look at text before a recipe is written for it: how much there is, in what files, and a sample of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.core.progress import Reporter
from groundup.data.config import Source
from groundup.data.document import Listing, SourceFile, Text
from groundup.data.formats import ending_of, format_of
from groundup.data.sources.listing import list_source

SAMPLE_BYTES = 32 << 20
_MAX_FILES = 500
_DOCUMENT_BYTES = 8 << 20


@dataclass(frozen=True)
class Survey:
    """What a quick look found."""

    facts: dict[str, Any]
    """`files`, `kinds` (text, jsonl, …), `bytes` (on the disk), `bytes_by_ending`, `ignored_files`; of the sample
    `sampled_documents` and `sampled_bytes` of text; `sampled_rejects` by reason; and `documents` and
    `text_bytes` of all files, which are exact if `complete`, else estimates."""
    sample: list[str]
    """Texts spread over the files, at most SAMPLE_BYTES together."""


def describe(sources: Sequence[Source], cache: Path, reporter: Reporter) -> Survey:
    """Look at up to 500 files of the sources and 32 MiB of their text. Raises UserError where there are none."""
    listings = [list_source(source, _DOCUMENT_BYTES, cache, reporter) for source in sources]
    files = [file for listing in listings for file in listing.files]
    look = _Look()
    chosen = _spread(files)
    for number, file in enumerate(chosen):
        look.at(file, (SAMPLE_BYTES - look.sample_bytes) // (len(chosen) - number))
    total = sum(file.size for file in files)
    complete = look.whole == len(files)
    scale = 1.0 if complete else total / max(1, look.read)
    facts = {
        "files": len(files),
        "kinds": sorted({format_of(file.name)[0] or "text" for file in files}),
        "bytes": total,
        "bytes_by_ending": _bytes_by_ending(files),
        "ignored_files": _ignored(listings),
        "sampled_documents": len(look.sample),
        "sampled_bytes": look.sample_bytes,
        "sampled_rejects": dict(look.rejects),
        "documents": round(look.documents * scale),
        "text_bytes": round(look.text_bytes * scale),
        "complete": complete,
    }
    return Survey(facts, look.sample)


def _spread(files: list[SourceFile]) -> list[SourceFile]:
    """At most _MAX_FILES of them, evenly spaced."""
    if len(files) <= _MAX_FILES:
        return files
    return [files[i * len(files) // _MAX_FILES] for i in range(_MAX_FILES)]


class _Look:
    """Counts over the parts of files that were looked at."""

    def __init__(self) -> None:
        self.sample: list[str] = []
        self.rejects: Counter[str] = Counter()
        self.sample_bytes, self.documents, self.text_bytes = 0, 0, 0
        self.read, self.whole = 0, 0

    def at(self, file: SourceFile, share: int) -> None:
        """Read one file until `share` bytes of text are in the sample.

        Files are read in blocks of many records, so that bytes and records only fit each other where a block ends:
        records are counted until then.
        """
        taken, read, fetched = 0, 0, 0

        def advance(count: int) -> None:
            nonlocal fetched
            fetched += count

        for record in file.read(advance):
            if taken >= share and fetched > read:
                break
            read = fetched
            if not isinstance(record, Text):
                self.rejects[record.reason] += 1
                continue
            size = len(record.text.encode(errors="replace"))
            self.documents += 1
            self.text_bytes += size
            if taken < share:
                self.sample.append(record.text)
                taken += size
        else:
            read = fetched
            self.whole += 1
        self.sample_bytes += taken
        self.read += read


def _bytes_by_ending(files: list[SourceFile]) -> dict[str, int]:
    sizes: defaultdict[str, int] = defaultdict(int)
    for file in files:
        sizes[ending_of(file.name)] += file.size
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _ignored(listings: list[Listing]) -> dict[str, int]:
    return dict(sum((Counter(listing.ignored) for listing in listings), Counter()))
