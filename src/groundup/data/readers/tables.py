"""CSV, TSV and Parquet: one record a row."""

import csv
from collections.abc import Callable, Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from groundup.data.document import Record
from groundup.data.readers.lines import read_lines
from groundup.data.readers.reading import Reading
from groundup.data.streams import Stream

_ROWS = 256


class _LineTooLongError(Exception):
    pass


def read_csv(stream: Stream, encoding: str, reading: Reading) -> Iterator[Record]:
    """Rows below a head that names the fields, numbered from 1; commas between fields."""
    return _read_rows(stream, encoding, reading, "excel")


def read_tsv(stream: Stream, encoding: str, reading: Reading) -> Iterator[Record]:
    """As `read_csv`, with tabs between fields."""
    return _read_rows(stream, encoding, reading, "excel-tab")


def _read_rows(stream: Stream, encoding: str, reading: Reading, dialect: str) -> Iterator[Record]:
    csv.field_size_limit(2 * reading.limit)  # of the process; longer texts are rejected one by one
    rows = csv.reader(_decoded(stream, encoding, reading.limit), dialect, strict=True)
    try:
        fields = next(rows, [])
        if reading.text_field not in fields:
            missing = f"no column '{reading.text_field}'"
            yield reading.broken(missing, line=1, hint=reading.fields_hint(fields))
            return
        column = fields.index(reading.text_field)
        for number, row in enumerate(rows, 1):
            if len(row) > column:
                yield reading.bounded(row[column], number, rows.line_num)
            elif row:
                detail = f"{len(row)} fields, the text is in field {column + 1}"
                yield reading.reject("broken", detail, number=number, line=rows.line_num, size=sum(map(len, row)))
    except csv.Error as error:
        yield reading.broken(f"not CSV: {error}", line=rows.line_num)
    except UnicodeDecodeError as error:
        yield reading.not_decoded(error, line=rows.line_num + 1)
    except _LineTooLongError:
        yield reading.reject("line_too_long", f"more than {reading.limit} bytes", line=rows.line_num + 1)


def _decoded(stream: Stream, encoding: str, limit: int) -> Iterator[str]:
    for line in read_lines(stream, limit):
        if line.lost:
            raise _LineTooLongError
        text = line.data.decode(encoding)
        yield text if line.offset else text.removeprefix("\ufeff")


def read_parquet(file: IO[bytes], reading: Reading, advance: Callable[[int], None]) -> Iterator[Record]:
    """Rows numbered from 1, a few hundred at a time; `file` must be seekable."""
    try:
        table = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
        names = table.schema_arrow.names
        if reading.text_field not in names:
            yield reading.broken(f"no column '{reading.text_field}'", hint=reading.fields_hint(names))
            return
        kind = table.schema_arrow.field(reading.text_field).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
            yield reading.broken(f"column '{reading.text_field}' holds {kind}, not text")
            return
        number = 0
        for batch in table.iter_batches(batch_size=_ROWS, columns=[reading.text_field]):
            for text in batch.column(0).to_pylist():
                number += 1
                yield reading.bounded(text or "", number)
            advance(reading.size * batch.num_rows // max(1, table.metadata.num_rows))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk, not the file
        yield reading.broken(f"not Parquet: {' '.join(str(error).split())[:200]}")
