from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.core.errors import UserError
from groundup.data.batches import IGNORE, PADDING, Batches, PackedRows, WindowRows, stack_rows
from groundup.data.indexed import TokenShard, write_index
from groundup.data.rows import best_fit_decreasing

EOT, PAD = 1, 0


def make_shard(folder: Path, documents: list[list[int]], name: str = "s") -> TokenShard:
    stream = np.array([token for document in documents for token in [*document, EOT]], dtype="<u2")
    (folder / f"{name}.bin").write_bytes(stream.tobytes())
    with (folder / f"{name}.idx").open("wb") as file:
        write_index(file, [len(document) + 1 for document in documents], stream.dtype)
    return TokenShard(folder / f"{name}.bin")


def test_windows_show_where_documents_begin(tmp_path: Path):
    shard = make_shard(tmp_path, [[10, 11], [20, 21, 22], [30]])  # 10 11 E 20 21 22 E 30 E
    rows = WindowRows([shard], 5, PAD)
    assert len(rows) == 2
    first, second = rows.row(0), rows.row(1)
    assert first.inputs.tolist() == [10, 11, EOT, 20, 21]
    assert first.labels.tolist() == [11, EOT, 20, 21, 22]
    assert first.documents.tolist() == [0, 0, 1, 1, 1]
    assert first.positions.tolist() == [0, 1, 0, 1, 2]
    assert second.inputs.tolist() == [22, EOT, 30, PAD, PAD]
    assert second.labels.tolist() == [EOT, 30, EOT, IGNORE, IGNORE]
    assert second.documents.tolist() == [0, 1, 1, PADDING, PADDING]
    assert second.positions.tolist() == [0, 0, 1, 0, 0]


def test_a_window_that_begins_with_end_of_text_is_one_document(tmp_path: Path):
    rows = WindowRows([make_shard(tmp_path, [[10, 11], [20, 21, 22]])], 2, PAD)
    assert rows.row(1).inputs.tolist() == [EOT, 20]
    assert rows.row(1).documents.tolist() == [0, 0]


@settings(max_examples=60, deadline=None)
@given(
    shards=st.lists(
        st.lists(st.lists(st.integers(2, 99), max_size=12), min_size=1, max_size=8), min_size=1, max_size=3
    ),
    seq_len=st.integers(1, 9),
)
def test_windows_hold_every_label_once_behind_its_own_text(tmp_path_factory, shards, seq_len: int):
    folder = tmp_path_factory.mktemp("windows")
    opened = [make_shard(folder, documents, f"s{i}") for i, documents in enumerate(shards)]
    if max(len(shard.tokens) for shard in opened) < 2:
        return
    rows = WindowRows(opened, seq_len, PAD, allow_short=True)
    all_rows = [rows.row(i) for i in range(len(rows))]
    labels = [int(label) for row in all_rows for label in row.labels if label != IGNORE]
    assert labels == [int(token) for shard in opened for token in shard.tokens[1:]]
    for row in all_rows:
        real = row.documents != PADDING
        assert ((row.labels != IGNORE) == real).all()
        assert (row.inputs[~real] == PAD).all()
        assert (np.diff(row.documents[real]) == (row.inputs[real][1:] == EOT)).all()
        for number in np.unique(row.documents[real]):
            assert row.positions[row.documents == number].tolist() == list(range((row.documents == number).sum()))


def test_a_corpus_shorter_than_a_sequence_is_refused(tmp_path: Path):
    shard = make_shard(tmp_path, [[5] * 6])
    with pytest.raises(UserError, match="source 'tiny' has 7 tokens in its longest shard, a sequence needs 7 "):
        WindowRows([shard], 7, PAD, name="tiny")
    assert len(WindowRows([shard], 6, PAD)) == len(WindowRows([shard], 7, PAD, allow_short=True)) == 1
    with pytest.raises(UserError):
        WindowRows([make_shard(tmp_path, [[]], "one")], 7, PAD, allow_short=True)


def test_sources_of_different_row_lengths_do_not_mix(tmp_path: Path):
    shard = make_shard(tmp_path, [[5] * 60])
    with pytest.raises(UserError, match="do not mix"):
        Batches([(WindowRows([shard], 4, PAD), 1.0), (WindowRows([shard], 5, PAD), 1.0)], 2, 0)


def test_a_batch_says_whether_attention_needs_a_mask(tmp_path: Path):
    plain = WindowRows([make_shard(tmp_path, [[5] * 8])], 4, PAD)
    assert not Batches([(plain, 1.0)], 2, 0).batch(0).has_borders
    padded = WindowRows([make_shard(tmp_path, [[5] * 6])], 4, PAD)
    assert Batches([(padded, 1.0)], 2, 0).batch(0).has_borders


@pytest.mark.parametrize("stride", [0, 1, 2, 3, 5])
def test_windows_count_each_label_once_in_order_whatever_the_stride(tmp_path: Path, stride: int):
    shard = make_shard(tmp_path, [list(range(2, 50))])
    rows = WindowRows([shard], 5, PAD, stride=stride)
    batch = stack_rows([rows.row(i) for i in range(len(rows))])
    assert batch.labels[batch.labels != IGNORE].tolist() == shard.tokens[1:].tolist()
    assert batch.n_labels == 48
    assert batch.inputs.dtype == np.int64
    new = (batch.labels[1:] != IGNORE).argmax(axis=1)
    assert (new == 5 - (stride or 5)).all()


def pack(conversations: list[list[int]], trained: list[list[bool]], seq_len: int) -> PackedRows:
    flat = np.array([token for conversation in conversations for token in conversation], np.int64)
    mask = np.array([flag for flags in trained for flag in flags], bool)
    return PackedRows(flat, mask, [len(conversation) for conversation in conversations], seq_len, PAD)


def test_conversations_are_packed_side_by_side_and_only_trained_tokens_are_labels():
    rows = pack([[7, 8, 9], [4, 5, 6, 3]], [[False, False, True], [False, True, False, True]], 6)
    row = rows.row(0)
    assert len(rows) == 1
    assert row.inputs.tolist() == [4, 5, 6, 7, 8, PAD]
    assert row.labels.tolist() == [5, IGNORE, 3, IGNORE, 9, IGNORE]
    assert row.positions.tolist() == [0, 1, 2, 0, 1, 0]
    assert row.documents.tolist() == [0, 0, 0, 1, 1, PADDING]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), seq_len=st.integers(1, 12))
def test_packing_keeps_every_token_and_label_of_every_conversation(data, seq_len: int):
    lengths = data.draw(st.lists(st.integers(1, 16), min_size=1, max_size=30).filter(lambda x: max(x) > 1))
    starts = np.cumsum([0, *lengths[:-1]])
    conversations = [list(range(100 + s, 100 + s + n)) for s, n in zip(starts, lengths, strict=True)]
    flags = [data.draw(st.lists(st.booleans(), min_size=n, max_size=n)) for n in lengths]
    rows = pack(conversations, flags, seq_len)
    found = []
    for i in range(len(rows)):
        row = rows.row(i)
        for number in range(row.documents.max() + 1):
            own = row.documents == number
            assert row.positions[own].tolist() == list(range(own.sum()))
            found.append((row.inputs[own].tolist(), row.labels[own].tolist()))
    expected = [
        (
            tokens[:-1][:seq_len],
            [t if f else IGNORE for t, f in zip(tokens[1:], flag[1:], strict=True)][:seq_len],
        )
        for tokens, flag in zip(conversations, flags, strict=True)
        if len(tokens) > 1
    ]
    assert sorted(found) == sorted(expected)


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_packing_wastes_little(sizes: list[int]):
    bins = best_fit_decreasing(np.array(sizes), 20)
    assert sorted(item for items in bins for item in items) == list(range(len(sizes)))
    assert all(sum(sizes[item] for item in items) <= 20 for items in bins)
    assert len(bins) <= 11 / 9 * -(-sum(sizes) // 20) * 2 + 1
    fill = sorted(sum(sizes[item] for item in items) for items in bins)
    assert all(a + b > 20 for a, b in pairwise(fill))  # no two bins could have been one


def test_conversations_without_anything_to_predict_are_refused():
    with pytest.raises(UserError, match="no conversation"):
        pack([[5], [6]], [[True], [True]], 4)


def test_the_fingerprint_of_packed_rows_names_tokens_and_mask():
    base = pack([[5, 6], [7, 8]], [[False, True]] * 2, 4).fingerprint
    assert base == pack([[5, 6], [7, 8]], [[False, True]] * 2, 4).fingerprint
    assert base != pack([[5, 6], [7, 9]], [[False, True]] * 2, 4).fingerprint
    assert base != pack([[5, 6], [7, 8]], [[False, True], [True, True]], 4).fingerprint
    assert base != pack([[5, 6], [7, 8]], [[False, True]] * 2, 5).fingerprint
    assert base != pack([[5, 6, 7, 8]], [[False, True] * 2], 4).fingerprint
