import pytest
import torch

from groundup.model.position.rope import Rope

PAIRINGS = ["half", "interleaved"]


def pair(pairing, i, size):
    return (i, i + size // 2) if pairing == "half" else (2 * i, 2 * i + 1)


def turn(rope, x, positions):
    return rope.rotate(x, rope.prepare(torch.tensor([positions]), torch.float32))


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("size", [16, 8])
def test_scores_depend_only_on_the_offset(pairing, size):
    rope = Rope(size, 10_000.0, pairing)
    q, k = torch.randn(2, 1, 1, 1, 16, generator=torch.Generator().manual_seed(0)).unbind(0)

    def score(i, j):
        return (turn(rope, q, [i]) * turn(rope, k, [j])).sum()

    torch.testing.assert_close(score(9, 4), score(105, 100), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(score(0, 0), (q * k).sum(), atol=1e-5, rtol=1e-5)
    assert (score(9, 4) - score(9, 5)).abs() > 1e-4


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("size", [8, 6])
def test_pairs_turn_as_complex_numbers_and_the_rest_of_a_head_stays(pairing, size):
    rope = Rope(size, 100.0, pairing)
    x = torch.randn(1, 2, 3, 8)
    turned = turn(rope, x, [0, 1, 2])
    assert turned.shape == x.shape
    assert torch.equal(turned[..., size:], x[..., size:])
    for position in range(3):
        for i in range(size // 2):
            a, b = pair(pairing, i, size)
            angle = torch.tensor(position * 100.0 ** (-2 * i / size))
            expected = complex(x[0, 1, position, a], x[0, 1, position, b]) * complex(angle.cos(), angle.sin())
            assert abs(complex(turned[0, 1, position, a], turned[0, 1, position, b]) - expected) < 1e-5


def test_the_pairings_are_one_another_permuted():
    x = torch.randn(1, 1, 4, 8)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    half = turn(Rope(8, 100.0, "half"), x[..., order], [0, 1, 2, 3])
    interleaved = turn(Rope(8, 100.0, "interleaved"), x, [0, 1, 2, 3])
    torch.testing.assert_close(half, interleaved[..., order])
