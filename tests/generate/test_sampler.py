"""Each filter beside its plain definition, on one row at a time and in lists of floats."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from groundup.generate.config import SamplingConfig
from groundup.generate.sampler import (
    Sampler,
    filter_logits,
    invert,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
)

rows = st.lists(st.integers(-80, 80).map(lambda n: n / 10), min_size=2, max_size=12, unique=True)


def kept(logits_BV: torch.Tensor) -> set[int]:
    return set(torch.nonzero(torch.isfinite(logits_BV[0]))[:, 0].tolist())


def softmax(logits: list[float]) -> list[float]:
    total = sum(math.exp(x) for x in logits)
    return [math.exp(x) / total for x in logits]


@given(rows, st.integers(1, 15))
@settings(deadline=None)
def test_top_k_keeps_the_k_likeliest(logits, k):
    plain = set(sorted(range(len(logits)), key=lambda i: -logits[i])[:k])
    assert kept(keep_top_k(torch.tensor([logits]), k)) == plain


@given(rows, st.floats(0.01, 0.99))
@settings(deadline=None)
def test_top_p_keeps_the_smallest_set_of_the_likeliest_with_mass_p(logits, p):
    probs = softmax(logits)
    order = sorted(range(len(logits)), key=lambda i: -probs[i])
    sizes = [n for n in range(1, len(order) + 1) if sum(probs[i] for i in order[:n]) >= p - 1e-9]
    exact = [n for n in range(1, len(order) + 1) if sum(probs[i] for i in order[:n]) >= p + 1e-9]
    plain = {frozenset(order[: found[0]]) if found else frozenset(order) for found in (sizes, exact)}
    assert kept(keep_top_p(torch.tensor([logits]), p)) in plain


@given(rows, st.floats(0.01, 1))
@settings(deadline=None)
def test_min_p_keeps_what_is_at_least_p_times_as_likely_as_the_likeliest(logits, p):
    probs = softmax(logits)
    got = kept(keep_min_p(torch.tensor([logits]), p))
    for i, prob in enumerate(probs):
        if abs(prob - p * max(probs)) > 1e-6:
            assert (i in got) == (prob > p * max(probs))


def test_the_penalty_lowers_seen_tokens_whatever_the_sign_of_their_logits():
    logits = torch.tensor([[2.0, -2.0, 0.5, -0.5]])
    seen = torch.tensor([[True, True, False, False]])
    assert penalize_repetition(logits, seen, 2.0).tolist() == [[1.0, -4.0, 0.5, -0.5]]


def test_filters_run_in_the_stated_order():
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0, 0.0]])
    config = SamplingConfig(temperature=2.0, top_k=4, top_p=0.8, min_p=0.4)
    plain = logits / 2.0
    for step in (lambda x: keep_top_k(x, 4), lambda x: keep_top_p(x, 0.8), lambda x: keep_min_p(x, 0.4)):
        plain = step(plain)
    torch.testing.assert_close(filter_logits(logits, config).softmax(-1), plain.softmax(-1))


@pytest.mark.parametrize("temperature", [0, 1e-30, 1e-3])
def test_a_very_low_temperature_takes_the_likeliest(temperature):
    sampler = Sampler(SamplingConfig(temperature=temperature), [[0]], [5])
    assert [sampler(torch.tensor([[10.0, 11.0, 90.0, -3.0]]))[0] for _ in range(5)] == [2] * 5


def test_tokens_are_drawn_as_often_as_they_are_likely():
    probs = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    sampler = Sampler(SamplingConfig(temperature=1.0), [[0]] * 4000, list(range(4000)))
    counts = torch.bincount(torch.tensor(sampler(probs.log().expand(4000, 5))), minlength=5)
    chi_squared = sum((n - 4000 * p) ** 2 / (4000 * p) for n, p in zip(counts, probs, strict=True) if p)
    assert counts[1] == 0
    assert chi_squared < 16.3  # 3 degrees of freedom, one in a thousand


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_ends_of_the_unit_interval_fall_on_tokens_that_have_mass(kind):
    mass_BV = torch.tensor([[0.0, 0.25, 0.25, 0.75, 0.75]], dtype=kind)
    ends = [0.0, 1 - 2**-53]
    assert [invert(mass_BV, torch.tensor([x], dtype=torch.float64)).item() for x in ends] == [1, 3]


def test_a_row_draws_the_same_whatever_stands_beside_it():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    config = SamplingConfig(temperature=1.0, repetition_penalty=1.2)
    together = Sampler(config, [[1], [2, 3], [4]], [7, 8, 9])
    alone = Sampler(config, [[2, 3]], [8])
    first = [(together(logits)[1], alone(logits[1:2])[0]) for _ in range(20)]
    together.keep([1])
    later = [(together(logits[1:2])[0], alone(logits[1:2])[0]) for _ in range(20)]
    assert all(a == b for a, b in first + later)


def test_drawing_does_not_touch_the_global_generator():
    before = torch.get_rng_state()
    Sampler(SamplingConfig(), [[0]], [1])(torch.zeros(1, 9))
    assert torch.equal(before, torch.get_rng_state())


def test_repetition_counts_the_prompt_and_what_was_drawn_but_not_exempt_tokens():
    logits = torch.tensor([[3.0, 2.9, 2.8, 2.7]])
    sampler = Sampler(SamplingConfig(temperature=0, repetition_penalty=2.0), [[0]], [0], exempt=(2,))
    assert [sampler(logits)[0] for _ in range(3)] == [1, 2, 2]


def test_banned_tokens_are_never_chosen():
    sampler = Sampler(SamplingConfig(temperature=5.0), [[0]] * 300, list(range(300)), banned=(0, 3))
    assert set(sampler(torch.tensor([[9.0, 0.0, 0.0, 9.0]]).expand(300, 4))) == {1, 2}
