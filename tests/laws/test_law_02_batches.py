"""Law 2: batch n is a pure function of (data fingerprint, seed, n)."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from groundup.data.batches import Batch, Batches, WindowRows
from groundup.data.indexed import TokenShard, write_index

SEQ_LEN, PAD = 8, 0


def make_rows(folder: Path, name: str, tokens: int, first: int = 1) -> WindowRows:
    """A source of one shard whose tokens are all different, in documents of 5 tokens."""
    stream = np.arange(first, first + tokens, dtype="<i4")
    (folder / f"{name}.bin").write_bytes(stream.tobytes())
    with (folder / f"{name}.idx").open("wb") as file:
        write_index(file, [5] * (tokens // 5) + [tokens % 5] * (tokens % 5 > 0), stream.dtype)
    return WindowRows([TokenShard(folder / f"{name}.bin")], SEQ_LEN, PAD, name=name)


@pytest.fixture
def rows(tmp_path: Path) -> WindowRows:
    return make_rows(tmp_path, "a", 8 * 101 + 1)


@pytest.fixture
def mixed(tmp_path: Path) -> list[tuple[WindowRows, float]]:
    sizes = {"m": (8 * 101 + 1, 1.0), "n": (8 * 40 + 1, 3.0), "o": (8 * 1 + 1, 0.5)}
    return [
        (make_rows(tmp_path, name, tokens, 10_000 * at), weight)
        for at, (name, (tokens, weight)) in enumerate(sizes.items(), 1)
    ]


def same(a: Batch, b: Batch) -> bool:
    return all(np.array_equal(getattr(a, key), getattr(b, key)) for key in vars(a))


def concatenated(parts: list[Batch]) -> Batch:
    return Batch(*(np.concatenate([getattr(part, key) for part in parts]) for key in vars(parts[0])))


def test_a_batch_is_the_same_whenever_and_by_whomever_it_is_made(mixed):
    batches = Batches(mixed, 6, seed=3)
    in_order = [batches.batch(step) for step in range(40)]
    other = Batches(mixed, 6, seed=3)
    assert all(same(other.batch(step), in_order[step]) for step in reversed(range(40)))


def test_any_split_into_ranks_and_micro_batches_gives_the_same_rows(mixed):
    batches = Batches(mixed, 12, seed=3)
    for size in (1, 2, 3, 4, 6, 12):
        for step in (0, 7, 100_000):
            parts = [batches.slice(step, at, at + size) for at in range(0, 12, size)]
            assert same(concatenated(parts), batches.batch(step))


def test_the_stream_of_rows_does_not_depend_on_the_batch_size(mixed):
    small, large = Batches(mixed, 4, seed=1), Batches(mixed, 12, seed=1)
    assert same(concatenated([small.batch(step) for step in range(6)]), concatenated([large.batch(0), large.batch(1)]))


def test_each_row_comes_exactly_once_an_epoch_in_a_new_order(rows):
    batches = Batches([(rows, 1.0)], 1, seed=5)
    epochs = [batches.addresses(epoch * len(rows), (epoch + 1) * len(rows)) for epoch in range(3)]
    assert len(rows) == batches.rows_per_epoch == batches.steps_per_epoch == 101
    assert all(sorted(epoch) == [(0, row) for row in range(101)] for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != sorted(epochs[2])


def test_with_equal_weights_an_epoch_of_a_mix_holds_every_row_once(mixed):
    batches = Batches([(rows, 0.7) for rows, _ in mixed], 1, seed=5)
    addresses = batches.addresses(0, batches.rows_per_epoch)
    assert sorted(addresses) == [(s, row) for s, (rows, _) in enumerate(mixed) for row in range(len(rows))]


def test_a_mix_has_the_shares_of_weight_times_rows_at_any_point(mixed):
    batches = Batches(mixed, 1, seed=2)
    masses = np.array([weight * len(rows) for rows, weight in mixed])
    places = [source for source, _ in batches.addresses(0, 2000)]
    for stop in (1, 10, 137, 1000, 2000):
        counts = Counter(places[:stop])
        found = np.array([counts[source] for source in range(3)])
        assert np.abs(found - stop * masses / masses.sum()).max() <= 3


def test_a_source_of_a_tiny_share_is_not_forgotten(tmp_path: Path):
    sources = [(make_rows(tmp_path, "large", 8 * 100 + 1), 1.0), (make_rows(tmp_path, "small", 9), 4e-3)]
    batches = Batches(sources, 1, seed=2)
    assert sum(source for source, _ in batches.addresses(0, 75_000)) in (2, 3, 4)


def test_each_source_of_a_mix_goes_through_its_own_epochs(mixed):
    addresses = Batches(mixed, 1, seed=2).addresses(0, 1000)
    for source, (rows, _) in enumerate(mixed):
        drawn = [row for s, row in addresses if s == source]
        whole = len(drawn) // len(rows) * len(rows)
        assert all(sorted(drawn[at : at + len(rows)]) == list(range(len(rows))) for at in range(0, whole, len(rows)))


def test_another_seed_gives_another_order_of_the_same_rows(rows):
    one, two = (Batches([(rows, 1.0)], 1, seed=seed).addresses(0, 101) for seed in (1, 2))
    assert one != two
    assert sorted(one) == sorted(two)


def test_the_fingerprint_names_the_data_the_shape_and_the_mix(tmp_path: Path, rows, mixed):
    base = Batches([(rows, 1.0)], 4, seed=1)
    (tmp_path / "again").mkdir()
    again = Batches([(make_rows(tmp_path / "again", "z", 8 * 101 + 1), 1.0)], 4, seed=1)
    assert base.fingerprint == again.fingerprint  # the content counts, not the place
    others = [
        Batches([(make_rows(tmp_path, "p", 8 * 101 + 1, first=2), 1.0)], 4, seed=1),
        Batches([(rows, 2.0)], 4, seed=1),
        Batches([(rows, 1.0)], 5, seed=1),
        Batches(mixed, 4, seed=1),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_a_step_far_into_training_costs_no_more_than_the_first(rows):
    assert Batches([(rows, 1.0)], 3, seed=1).batch(10**12).inputs.shape == (3, SEQ_LEN)
