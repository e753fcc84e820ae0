import pytest
import torch

from groundup.model.position.absolute import LearnedPosition, SinusoidalPosition
from groundup.model.position.alibi import Alibi, alibi_slopes
from groundup.model.position.scheme import Position


def test_no_position_changes_nothing():
    x, heads = torch.randn(2, 5, 8), torch.randn(2, 3, 5, 4)
    none, positions = Position(), torch.arange(5)[None]
    assert torch.equal(none.embed(x, positions), x)
    assert torch.equal(none.rotate(heads, none.prepare(positions, torch.float32)), heads)
    assert none.bias(torch.zeros(5, 5)) is None


def test_learned_positions_are_rows_of_a_table():
    scheme = LearnedPosition(16, 8)
    torch.nn.init.normal_(scheme.weight)
    x = torch.randn(2, 3, 8)
    positions = torch.tensor([[0, 1, 2], [7, 15, 0]])
    out = scheme.embed(x, positions)
    assert out.shape == x.shape
    torch.testing.assert_close(out[1, 1], x[1, 1] + scheme.weight[15])


def test_sines_are_those_of_the_first_transformer():
    scheme = SinusoidalPosition(8, scale=1.0)
    out = scheme.embed(torch.zeros(1, 50, 8), torch.arange(50)[None])
    for position in (0, 1, 49):
        for i in range(4):
            angle = torch.tensor(position / 10_000 ** (2 * i / 8))
            assert out[0, position, 2 * i].item() == pytest.approx(angle.sin().item(), abs=1e-5)
            assert out[0, position, 2 * i + 1].item() == pytest.approx(angle.cos().item(), abs=1e-5)


def test_sines_of_an_odd_width_leave_the_last_cosine_out():
    out = SinusoidalPosition(7, scale=0.5).embed(torch.zeros(2, 3, 7), torch.arange(3)[None])
    assert out.shape == (2, 3, 7)
    assert out[0, 0].tolist() == [0, 0.5, 0, 0.5, 0, 0.5, 0]


def test_slopes_are_those_of_the_paper():
    assert alibi_slopes(8) == [2**-i for i in range(1, 9)]
    assert alibi_slopes(4) == [2**-2, 2**-4, 2**-6, 2**-8]
    # 12 heads, as the authors' code has it: those of 8, then every other one of 16.
    assert alibi_slopes(12) == pytest.approx([2**-i for i in range(1, 9)] + [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])


def test_alibi_adds_minus_slope_times_distance():
    distance = torch.arange(4)[:, None] - torch.arange(4)[None]
    bias = Alibi(2).bias(distance)
    assert bias.shape == (2, 4, 4)
    assert bias[1, 3].tolist() == [-3 * 2**-8, -2 * 2**-8, -(2**-8), 0]
