import csv
import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data.document import Rejected, Text
from groundup.data.readers.reading import Reading
from groundup.data.readers.text import read_text
from groundup.data.streams import open_stream


def reasons(records) -> list[tuple[str, str]]:
    return [(record.name, record.reason) for record in records if isinstance(record, Rejected)]


def texts(records) -> dict[str, str]:
    return {record.name: record.text for record in records if isinstance(record, Text)}


def test_a_text_file_is_one_document_without_byte_order_mark_and_with_plain_line_ends(tmp_path: Path, read):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo \t\n\n three\rfour\n")
    assert texts(read(tmp_path / "a.txt")) == {"a.txt": "one\ntwo \t\n\n three\rfour\n"}


def test_a_separator_cuts_a_file_into_documents(tmp_path: Path, read):
    (tmp_path / "a.txt").write_text("<|endoftext|>\nfirst\n\nstory\n<|endoftext|>\nsecond\n<|endoftext|>\n")
    records = read(tmp_path / "a.txt", separator="<|endoftext|>")
    assert texts(records) == {"a.txt#1": "", "a.txt#2": "first\n\nstory", "a.txt#3": "second"}


def test_real_stories_are_cut_at_their_separator(corpora: Path, read):
    stories = texts(read(corpora / "tinystories.txt", separator="<|endoftext|>", max_bytes=8 << 20))
    assert len(stories) == 9029
    whole = (corpora / "tinystories.txt").read_text()
    assert list(stories.values()) == [story.strip("\n") for story in whole.split("<|endoftext|>")][:9029]


def test_a_long_file_is_cut_at_the_ends_of_paragraphs_else_of_lines(tmp_path: Path, read):
    (tmp_path / "a.txt").write_text("aaa\nbbb\n\n" + "c" * 900 + "\n\nd\n" + "e" * 900 + "\n" + "f" * 200)
    pieces = texts(read(tmp_path / "a.txt", max_bytes=1024))
    assert list(pieces) == ["a.txt#1", "a.txt#2", "a.txt#3"]
    assert "".join(pieces.values()) == (tmp_path / "a.txt").read_text()
    assert pieces["a.txt#1"].endswith("c\n\n")
    assert pieces["a.txt#2"] == "d\n" + "e" * 900 + "\n"


def test_a_line_that_is_too_long_is_dropped_and_the_rest_is_read(tmp_path: Path, read):
    (tmp_path / "a.txt").write_text("before\n" + "x" * 500_000 + "\nafter\n")
    records = read(tmp_path / "a.txt", max_bytes=2000)
    assert texts(records) == {"a.txt#1": "before\n", "a.txt#3": "after\n"}
    assert reasons(records) == [("a.txt#2", "line_too_long")]
    (rejected,) = (record for record in records if isinstance(record, Rejected))
    assert rejected.size == 500_001
    assert rejected.head == "x" * 200


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(["a", "bb", "é", " ", "\n", "\n\n", "\r\n", "<s>", "x" * 40, "y" * 90]), max_size=80
    ),
    separator=st.sampled_from(["", "<s>"]),
    limit=st.integers(32, 200),
)
def test_no_byte_of_a_text_file_is_lost_or_doubled(tmp_path_factory, words, separator: str, limit: int):
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes("".join(words).encode())
    reading = Reading("a", "a", 0, "utf-8", "text", separator, limit)
    stream, encoding = open_stream(path.open("rb"), "", "utf-8", lambda _: None)
    with stream:
        records = list(read_text(stream, encoding, reading))
    whole = "".join(words).replace("\r\n", "\n")
    if not any(isinstance(record, Rejected) for record in records):
        if separator:
            parts = [part.split() for part in whole.split("<s>")]
            found = [record.text.split() for record in records]
            assert [word for part in found for word in part] == [word for part in parts for word in part]
        else:
            assert "".join(record.text for record in records) == whole
    assert all(len(record.text.encode()) <= limit for record in records if isinstance(record, Text))
    if not separator:
        sizes = [record.size if isinstance(record, Rejected) else 0 for record in records]
        kept = sum(len(record.text) for record in records if isinstance(record, Text))
        assert kept + sum(sizes) >= len(whole)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_files_are_read_as_what_is_in_them(tmp_path: Path, read, ending: str):
    data = "\n".join(f"line {i} {random.Random(i).random()}" for i in range(20_000)).encode()
    packed = {"gz": gzip.compress, "zst": zstandard.compress}[ending]
    (tmp_path / f"a.txt.{ending}").write_bytes(packed(data[:1000]) + packed(data[1000:]))
    assert texts(read(tmp_path)) == {f"a.txt.{ending}": data.decode()}


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[: len(data) // 2], lambda data: b"PK" + data]
)
def test_a_cut_or_false_compressed_file_is_broken(tmp_path: Path, read, ending: str, damage):
    data = "\n".join(f"line {i} {random.Random(i).random()}" for i in range(20_000)).encode()
    (tmp_path / f"a.txt.{ending}").write_bytes(damage({"gz": gzip.compress, "zst": zstandard.compress}[ending](data)))
    records = read(tmp_path, max_bytes=1024)
    assert reasons(records)[-1] == (f"a.txt.{ending}", "broken")


def test_a_gzip_bomb_does_not_fill_the_memory(tmp_path: Path, read):
    with gzip.open(tmp_path / "a.txt.gz", "wb") as file:
        for _ in range(64):
            file.write(b"0" * (1 << 20))
    (record,) = read(tmp_path, max_bytes=1 << 16)
    assert (record.reason, record.size) == ("line_too_long", 64 << 20)


@pytest.mark.parametrize("content", [b"\x7fELF\0\0\0", b"text\0text", bytes(range(1, 32)) * 20])
def test_binary_content_is_rejected_whatever_its_ending(tmp_path: Path, read, content: bytes):
    (tmp_path / "a.txt").write_bytes(content)
    assert reasons(read(tmp_path)) == [("a.txt", "binary")]


def test_text_that_is_not_utf8_is_rejected_with_the_offset_of_the_byte(tmp_path: Path, read):
    (tmp_path / "a.txt").write_bytes("déjà vu".encode("latin-1"))
    (record,) = read(tmp_path)
    assert (record.reason, record.detail) == ("not_utf8", "byte 1: invalid continuation byte")
    assert texts(read(tmp_path, encoding="latin-1")) == {"a.txt": "déjà vu"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp1252", "shift-jis"])
def test_other_encodings_are_read(tmp_path: Path, read, encoding: str):
    text = "one\r\nétoile\n" if encoding != "shift-jis" else "一二三\n四五\n"
    lines = "".join(json.dumps({"text": line}, ensure_ascii=False) + "\n" for line in text.split())
    (tmp_path / "a.txt").write_bytes((text * 2000).encode(encoding))
    (tmp_path / "b.jsonl").write_bytes(lines.encode(encoding))
    found = texts(read(tmp_path, encoding=encoding))
    assert found.pop("a.txt") == text.replace("\r\n", "\n") * 2000
    assert list(found.values()) == text.split()


def test_what_is_not_utf16_is_rejected(tmp_path: Path, read):
    (tmp_path / "a.txt").write_bytes(b"\x00\xd8\x00\x00")
    assert reasons(read(tmp_path, encoding="utf-16-le")) == [("a.txt", "not_utf16le")]


def test_the_main_text_of_a_page_is_read(tmp_path: Path, read):
    body = "<p>" + "It was a dark and stormy night; the rain fell in torrents. " * 20 + "</p>"
    page = f"<html><head><script>alert(1)</script></head><body><nav>Home</nav><main>{body}</main></body></html>"
    (tmp_path / "a.html").write_text(page)
    (text,) = texts(read(tmp_path)).values()
    assert text.startswith("It was a dark")
    assert "alert" not in text
    assert "Home" not in text


def test_json_lines_are_named_by_their_line(tmp_path: Path, read):
    (tmp_path / "a.jsonl").write_text('\ufeff{"text": "one"}\n\n{"text": "two\\r\\n", "n": 1}\r\n{"text": null}')
    assert texts(read(tmp_path)) == {"a.jsonl#1": "one", "a.jsonl#3": "two\n", "a.jsonl#4": ""}


@pytest.mark.parametrize(
    ("line", "detail", "hint"),
    [
        ('{"text": "a"', "not JSON: Expecting ',' delimiter, column", ""),
        ("nonsense", "not JSON: Expecting value, column 1", ""),
        ('{"body": "a", "id": 3}', "no field 'text'", "set text_field of the source to one of: body, id"),
        ('{"text": 3}', "field 'text' is a number, not text", ""),
        ('["a"]', "not an object with a field 'text' but a list", ""),
        ("[" * 100_000, "not JSON", ""),
    ],
)
def test_a_broken_line_is_told_with_its_number(tmp_path: Path, read, line: str, detail: str, hint: str):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n' + line + '\n{"text": "three"}\n')
    first, broken, third = read(tmp_path)
    assert (broken.reason, broken.location, broken.hint) == ("broken", f"{tmp_path / 'a.jsonl'}:2", hint)
    assert broken.detail.startswith(detail)
    assert (first.text, third.text) == ("one", "three")


def test_a_line_of_json_that_is_too_long_or_not_utf8_is_rejected_alone(tmp_path: Path, read):
    long = json.dumps({"text": "x" * 300_000}).encode()
    (tmp_path / "a.jsonl").write_bytes(long + b'\n{"text": "b"}\n{"text": "\xff"}\n{"text": "d"}\n')
    records = read(tmp_path, max_bytes=1024)
    assert reasons(records) == [("a.jsonl#1", "line_too_long"), ("a.jsonl#3", "not_utf8")]
    assert texts(records) == {"a.jsonl#2": "b", "a.jsonl#4": "d"}
    assert records[2].detail == f"byte {len(long) + 1 + 14 + 10}: invalid start byte"


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_json_is_read_as_a_stream(tmp_path: Path, read, indent: int | None):
    objects = [{"id": i, "text": f"number {i} é " + "x" * (i * 37 % 3000)} for i in range(500)]
    (tmp_path / "a.json").write_text(json.dumps(objects, indent=indent, ensure_ascii=False))
    records = read(tmp_path, max_bytes=4096)
    assert texts(records) == {f"a.json#{i + 1}": record["text"] for i, record in enumerate(objects)}


@pytest.mark.parametrize(("content", "found"), [('{"text": "a"}', ["a"]), ("[]", []), (' [ {"text":"a"} ] \n', ["a"])])
def test_one_object_and_an_empty_array_are_json_too(tmp_path: Path, read, content: str, found: list[str]):
    (tmp_path / "a.json").write_text(content)
    assert list(texts(read(tmp_path)).values()) == found


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('[{"text": "a"},\n{"text": ]', 2),
        ('[{"text": "a"}\n', 2),
        ("", 1),
        ('[{"text": "a"}\n {"text": "b"}]', 2),
        ("[] x", 1),
    ],
)
def test_broken_json_is_told_with_its_line(tmp_path: Path, read, content: str, line: int):
    (tmp_path / "a.json").write_text(content)
    record = read(tmp_path)[-1]
    assert (record.reason, record.location) == ("broken", f"{tmp_path / 'a.json'}:{line}")


def test_real_chat_data_is_read(corpora: Path, read):
    path = corpora.parent / "chat/instructions.json"
    found = texts(read(path, text_field="instruction"))
    assert list(found.values()) == [record["instruction"] for record in json.loads(path.read_text())]


@pytest.mark.parametrize(("ending", "dialect"), [("csv", "excel"), ("tsv", "excel-tab")])
def test_tables_are_read_with_quotes_and_line_ends_in_fields(tmp_path: Path, read, ending: str, dialect: str):
    rows = [["1", 'say "hi", he\nsaid'], ["2", "x" * 200_000], ["3", "last"]]
    with (tmp_path / f"a.{ending}").open("w", newline="") as file:
        csv.writer(file, dialect).writerows([["id", "text"], *rows])
    assert list(texts(read(tmp_path)).values()) == [text for _, text in rows]


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        ("id,body\n1,a\n", "broken", "no column 'text'"),
        ('id,text\n1,"a\n', "broken", "not CSV: unexpected end of data"),
        ("id,text\n1\n", "broken", "1 fields, the text is in field 2"),
        ("id,text\n1," + "x" * 5000, "line_too_long", "more than 1024 bytes"),
        ('id,text\n1,"' + "x\n" * 600 + '"\n', "too_long", "1200 bytes, at most 1024 are taken"),
        ("", "broken", "no column 'text'"),
    ],
)
def test_broken_tables_are_told(tmp_path: Path, read, content: str, reason: str, detail: str):
    (tmp_path / "a.csv").write_text(content)
    record = read(tmp_path, max_bytes=1024)[-1]
    assert (record.reason, record.detail) == (reason, detail)


@pytest.mark.parametrize("ending", ["parquet", "parquet.gz"])
def test_parquet_is_read_row_by_row(tmp_path: Path, read, ending: str):
    table = pa.table({"id": range(1000), "text": [f"row {i}" for i in range(999)] + [None]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    if ending.endswith("gz"):
        (tmp_path / "a.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
        (tmp_path / "a.parquet").unlink()
    found = texts(read(tmp_path))
    assert list(found.values()) == [f"row {i}" for i in range(999)] + [""]
    assert list(found)[:2] == [f"a.{ending}#1", f"a.{ending}#2"]


def test_broken_parquet_is_told(tmp_path: Path, read):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nonsense")
    pq.write_table(pa.table({"body": ["x"], "n": [1]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": [1]}), tmp_path / "c.parquet")
    a, b, c = read(tmp_path)
    assert a.reason == b.reason == c.reason == "broken"
    assert a.detail.startswith("not Parquet: ")
    assert (b.detail, b.hint) == ("no column 'text'", "set text_field of the source to one of: body, n")
    assert c.detail == "column 'text' holds int64, not text"


def test_a_parquet_file_with_a_damaged_page_is_broken(tmp_path: Path, read):
    pq.write_table(pa.table({"text": [f"row {i}" for i in range(5000)]}), tmp_path / "a.parquet", compression="zstd")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[100:600] = bytes(500)
    (tmp_path / "a.parquet").write_bytes(data)
    assert read(tmp_path)[-1].reason == "broken"
