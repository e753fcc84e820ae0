import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.core.rng import Permutation, derive_seed


@given(st.integers(1, 3000), st.integers(0, 2**62))
def test_a_permutation_hits_every_index_once(n, seed):
    image = Permutation(n, seed)(np.arange(n))
    assert sorted(image.tolist()) == list(range(n))


def test_a_permutation_is_computed_one_index_at_a_time():
    permutation = Permutation(10**12, seed=3)
    index = np.array([0, 17, 10**12 - 1])
    assert [int(permutation(i)) for i in index] == permutation(index).tolist()


def test_permutations_of_unlike_seeds_are_unlike():
    first, second = (Permutation(1000, seed)(np.arange(1000)) for seed in (1, 2))
    assert (first == second).mean() < 0.02


def test_a_permutation_leaves_no_order():
    image = Permutation(100_000, seed=5)(np.arange(100_000))
    assert abs(np.corrcoef(np.arange(100_000), image)[0, 1]) < 0.02
    assert abs(np.corrcoef(image[:-1], image[1:])[0, 1]) < 0.02


@pytest.mark.parametrize("index", [-1, 10])
def test_an_index_outside_is_refused(index):
    with pytest.raises(IndexError):
        Permutation(10, 0)(index)


def test_seeds_follow_from_names_and_not_from_how_they_are_cut():
    assert derive_seed("a", 1) == derive_seed("a", 1)
    assert len({derive_seed("a", 1), derive_seed("a", 11), derive_seed("a1", 1), derive_seed("a", 1, "")}) == 4
    assert 0 <= derive_seed("x") < 2**63
