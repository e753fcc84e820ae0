"""`hf:DATASET[@CONFIG]`: a dataset of the Hugging Face Hub, streamed by the optional library `datasets`."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial

from groundup.core.errors import UserError
from groundup.data.config import Source
from groundup.data.document import Record, SourceFile
from groundup.data.readers.reading import Reading


def hub_file(source: Source, max_document_bytes: int) -> SourceFile:
    """The dataset as one file of rows. Raises UserError if the library is not installed."""
    if importlib.util.find_spec("datasets") is None:
        raise UserError(f"source '{source.path}' needs the library datasets", "pip install 'groundup[hub]'")
    dataset, _, config = source.path.removeprefix("hf:").partition("@")
    reading = Reading(
        name=dataset,
        location=source.path,
        size=0,
        encoding="utf-8",
        text_field=source.text_field,
        separator="",
        limit=max_document_bytes,
    )
    read = partial(_read, dataset, config or None, source.split, reading)
    return SourceFile(dataset, 0, f"{source.path} {source.split}", read)


def _read(
    dataset: str, config: str | None, split: str, reading: Reading, advance: Callable[[int], None]
) -> Iterator[Record]:
    datasets = importlib.import_module("datasets")
    try:
        rows = datasets.load_dataset(dataset, config, split=split, streaming=True)
        for number, row in enumerate(rows, 1):
            record = reading.field(row, number, number, len(str(row)))
            advance(len(getattr(record, "text", "")))
            yield record
    except (OSError, ValueError) as error:  # no network, no such dataset; no such config or split
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        message = f"{reading.location}, split '{split}' could not be read: {reason}"
        raise UserError(message, "is there a network, and such a dataset, config and split?") from None
