import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.data.document import Document
from groundup.data.indexed import TokenShard, token_dtype
from groundup.data.shards import Vocabulary, open_shards, write_shards

BYTES = Vocabulary(tokenizer="bytes", size=257, eot_id=256)
DOCUMENTS = [
    Document(f"{i}.txt", f"text number {i} " + "é" * (i % 7), "even" if i % 2 == 0 else "odd") for i in range(60)
]


def encode(texts: list[str]):
    parts = [np.frombuffer(text.encode(), np.uint8).astype(np.int32) for text in texts]
    return np.concatenate(parts), np.cumsum([0, *map(len, parts)])


def write(folder: Path, documents=DOCUMENTS, *, encode=encode, shard_tokens=200, vocabulary=BYTES, split="train"):
    return write_shards(
        documents,
        encode,
        folder,
        split=split,
        vocabulary=vocabulary,
        shard_tokens=shard_tokens,
        reporter=Reporter(quiet=True),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def test_what_is_written_is_read_back_with_end_of_text_behind_each_document(tmp_path: Path):
    facts = write(tmp_path)
    shards = open_shards(tmp_path, "train", expect_tokenizer="bytes", vocab_size=257)
    assert set(shards) == {"even", "odd"}
    assert len(shards["even"]) > 2
    for source, parts in shards.items():
        texts = [document.text for document in DOCUMENTS if document.source == source]
        stream = np.concatenate([shard.tokens for shard in parts])
        assert stream.tolist() == [token for text in texts for token in [*text.encode(), 256]]
        assert np.concatenate([shard.sizes for shard in parts]).tolist() == [len(t.encode()) + 1 for t in texts]
        assert np.concatenate([shard.document_bytes for shard in parts]).tolist() == [len(t.encode()) for t in texts]
        assert all(shard.tokens[shard.document_ends - 1].tolist() == [256] * len(shard.sizes) for shard in parts)
    assert facts["documents"] == 60
    assert facts["tokens"] == facts["bytes"] + 60 == sum(len(d.text.encode()) for d in DOCUMENTS) + 60


def test_the_index_is_byte_for_byte_that_of_megatron(tmp_path: Path):
    write(tmp_path, [Document("a", "abc", "s"), Document("b", "é", "s")])
    assert (tmp_path / "train-s-00000.idx").read_bytes() == (
        b"MMIDIDX\x00\x00"
        + struct.pack("<QBQQ", 1, 8, 2, 3)
        + struct.pack("<2i", 4, 3)
        + struct.pack("<2q", 0, 8)
        + struct.pack("<3q", 0, 1, 2)
    )
    assert (tmp_path / "train-s-00000.bin").read_bytes() == struct.pack("<7H", 97, 98, 99, 256, 0xC3, 0xA9, 256)


def test_a_shard_that_megatron_wrote_without_a_header_is_read(tmp_path: Path):
    (tmp_path / "x.bin").write_bytes(struct.pack("<6i", 5, 70000, 2, 9, 8, 2))
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 4, 3, 3)
    (tmp_path / "x.idx").write_bytes(
        head + struct.pack("<3i", 1, 2, 3) + struct.pack("<3q", 0, 4, 12) + struct.pack("<3q", 0, 2, 3)
    )
    shard = TokenShard(tmp_path / "x.bin")
    assert shard.tokens.tolist() == [5, 70000, 2, 9, 8, 2]
    assert shard.document_ends.tolist() == [3, 6]
    shard.check_ids(70001)
    with pytest.raises(UserError, match="token 70000, the vocabulary has 70000"):
        shard.check_ids(70000)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(257, "uint16"), (65536, "uint16"), (65537, "int32")])
def test_the_dtype_holds_every_token(vocab_size: int, dtype: str):
    assert token_dtype(vocab_size).name == dtype
    assert np.iinfo(dtype).max >= vocab_size - 1


def test_a_large_vocabulary_round_trips(tmp_path: Path):
    def high(texts: list[str]):
        return np.full(len(texts), 99_000, np.uint32), np.arange(len(texts) + 1)

    write(tmp_path, encode=high, vocabulary=Vocabulary("t", 100_000, 99_999))
    shard = open_shards(tmp_path, "train", expect_tokenizer="t", vocab_size=100_000)["odd"][0]
    assert shard.tokens[:4].tolist() == [99_000, 99_999] * 2


def test_a_cut_run_goes_on_and_ends_as_one_that_was_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("groundup.data.shards._BATCH_BYTES", 1)  # so that shards are complete before the cut
    write(tmp_path / "whole")
    for stop in range(0, 60, 7):

        def cut(at: int = stop) -> Iterator[Document]:
            yield from DOCUMENTS[:at]
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / f"cut{stop}", cut())
        write(tmp_path / f"cut{stop}")
        assert contents(tmp_path / f"cut{stop}") == contents(tmp_path / "whole")


def test_complete_shards_stay_and_are_not_encoded_again(tmp_path: Path):
    write(tmp_path / "whole")
    write(tmp_path / "cut")
    for path in tmp_path.glob("cut/train-even-0000[2-9]*"):
        path.unlink()
    (tmp_path / "cut/header.json").write_text(
        json.dumps(json.loads((tmp_path / "cut/header.json").read_text()) | {"splits": {}})
    )
    encoded: list[str] = []

    def watched(texts: list[str]):
        encoded.extend(texts)
        return encode(texts)

    write(tmp_path / "cut", encode=watched)
    kept = sum(len(TokenShard(tmp_path / f"whole/train-even-0000{i}.bin").sizes) for i in range(2))
    assert encoded == [document.text for document in DOCUMENTS if document.source == "even"][kept:]
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_complete_split_is_not_read_again(tmp_path: Path):
    first = write(tmp_path)

    def untouchable() -> Iterator[Document]:
        raise AssertionError
        yield

    second = write(tmp_path, untouchable())
    assert second["sources"] == first["sources"]


def test_shards_of_another_tokenizer_are_refused_by_name(tmp_path: Path):
    write(tmp_path)
    with pytest.raises(UserError, match="written with tokenizer bytes, not other"):
        open_shards(tmp_path, "train", expect_tokenizer="other", vocab_size=257)
    with pytest.raises(UserError, match="written with vocab_size 257, not 300"):
        open_shards(tmp_path, "train", expect_tokenizer="bytes", vocab_size=300)
    with pytest.raises(UserError, match="written with tokenizer bytes, not other"):
        write(tmp_path, vocabulary=Vocabulary("other", 257, 256), split="validation")
    with pytest.raises(UserError, match="no split 'test'"):
        open_shards(tmp_path, "test", expect_tokenizer="bytes", vocab_size=257)


@pytest.mark.parametrize(
    ("suffix", "damage", "message"),
    [
        (".bin", lambda data: data[:-2], r"bytes, its index train-even-00000\.idx asks for"),
        (".bin", lambda data: data + b"\0\0", r"bytes, its index train-even-00000\.idx asks for"),
        (".idx", lambda data: data[:-1], r"its head asks for"),
        (".idx", lambda data: b"X" + data[1:], r"is not a Megatron index"),
        (".idx", lambda data: data[:9] + b"\x02" + data[10:], r"version 2"),
        (".idx", lambda data: data[:17] + b"\x07" + data[18:], r"dtype code 7"),
        (".idx", lambda data: data[:-8] + b"\1" + data[-7:], r"contradicts itself"),
        (".idx", lambda data: b"", r"is not a Megatron index"),
    ],
)
def test_a_damaged_shard_is_refused(tmp_path: Path, suffix: str, damage, message: str):
    write(tmp_path)
    path = tmp_path / f"train-even-00000{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        open_shards(tmp_path, "train", expect_tokenizer="bytes", vocab_size=257)


def test_a_missing_shard_is_refused(tmp_path: Path):
    write(tmp_path)
    (tmp_path / "train-odd-00001.bin").unlink()
    with pytest.raises(UserError, match=r"train-odd-00001\.bin does not exist"):
        open_shards(tmp_path, "train", expect_tokenizer="bytes", vocab_size=257)
