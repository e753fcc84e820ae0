import math

import pytest
import torch

from groundup.model.config import ModelConfig, matched_width
from groundup.model.feedforward import ACTIVATIONS, FeedForward
from groundup.model.parts import GATED

X = torch.tensor([-2.0, -0.5, 0.0, 0.3, 2.5])


def formula(name, x):
    sigmoid, normal = 1 / (1 + math.exp(-x)), 0.5 * (1 + math.erf(x / math.sqrt(2)))
    tanh = 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return {
        "relu": max(x, 0),
        "gelu": x * normal,
        "gelu-tanh": tanh,
        "swish": x * sigmoid,
        "relu2": max(x, 0) ** 2,
        "glu": sigmoid,
        "reglu": max(x, 0),
        "geglu": x * normal,
        "geglu-tanh": tanh,
        "swiglu": x * sigmoid,
        "bilinear": x,
    }[name]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_their_formulas(name):
    expected = torch.tensor([formula(name, x) for x in X.tolist()])
    torch.testing.assert_close(ACTIVATIONS[name](X), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_is_two_matrices_or_three(name, bias):
    layer = FeedForward(6, 10, name, bias=bias)
    x = torch.randn(2, 3, 6)
    out = layer(x)
    assert out.shape == x.shape
    hidden = layer.up(x)
    if name in GATED:
        assert layer.gate is not None
        hidden = ACTIVATIONS[name](layer.gate(x)) * hidden
    else:
        assert layer.gate is None
        hidden = ACTIVATIONS[name](hidden)
    torch.testing.assert_close(out, hidden @ layer.down.weight.T + (layer.down.bias if bias else 0))
    assert layer.outputs == (layer.down.weight,)


@pytest.mark.parametrize("d_model", [192, 256, 768])
def test_a_gated_one_has_the_parameters_of_an_ungated_one(d_model):
    gated, ungated = (matched_width(d_model, gated=gated) for gated in (True, False))
    assert ungated == 4 * d_model
    assert gated % 64 == 0
    assert 3 * d_model * gated == pytest.approx(2 * d_model * ungated, rel=64 / gated)
    for name in ACTIVATIONS:
        config = ModelConfig(d_model=d_model, feedforward=name)
        assert config.ff_width == (gated if name in GATED else ungated)
