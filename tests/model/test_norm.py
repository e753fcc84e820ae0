import pytest
import torch
from torch.nn import functional as F

from groundup.model.config import ModelConfig
from groundup.model.norm import LayerNorm, RMSNorm, make_norm


def gradients(function, x, weight):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    out = function(x, weight)
    (out.float() * torch.linspace(-1, 2, out.numel()).view_as(out)).sum().backward()
    return out.detach(), x.grad, weight.grad


def ours(x, weight):
    norm = RMSNorm(len(weight), 1e-6)
    del norm.weight
    norm.weight = weight  # a tensor in the parameter's place, so that its gradient is seen
    return norm(x)


@pytest.mark.parametrize("shape", [(5, 24), (2, 3, 4, 24)])
def test_the_norm_is_torchs_forward_and_backward(shape):
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(shape, generator=generator) * 3, torch.randn(24, generator=generator)
    expected = gradients(lambda x, w: F.rms_norm(x, w.shape, w, 1e-6), x, weight)
    for made, wanted in zip(gradients(ours, x, weight), expected, strict=True):
        torch.testing.assert_close(made, wanted, atol=2e-5, rtol=1e-4)


def test_the_backward_pass_is_that_of_finite_differences():
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ours, (x, weight))


def test_the_type_of_the_input_is_kept():
    norm = RMSNorm(16, 1e-6)
    x = torch.randn(4, 16)
    assert norm(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(norm(x.bfloat16()).float(), norm(x), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("bias", [True, False])
def test_layernorm_is_its_formula_and_keeps_the_type(bias):
    norm = LayerNorm(16, 1e-5, bias=bias)
    torch.nn.init.normal_(norm.weight)
    if norm.bias is not None:
        torch.nn.init.normal_(norm.bias)
    x = torch.randn(3, 4, 16) * 5 + 2
    expected = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * norm.weight
    torch.testing.assert_close(norm(x), expected + (norm.bias if bias else 0), atol=1e-5, rtol=1e-5)
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_the_config_names_the_norm():
    assert isinstance(make_norm(ModelConfig(), 8), RMSNorm)
    assert make_norm(ModelConfig(norm="layernorm"), 8).bias is not None
    assert make_norm(ModelConfig(norm="layernorm", norm_bias=False), 8).bias is None
