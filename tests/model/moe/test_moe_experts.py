"""Experts: grouped = one after the other = the formula of one token, in value and gradient."""

import pytest
import torch
from torch.nn import functional as F

from groundup.core.errors import UserError
from groundup.model.config import ModelConfig
from groundup.model.feedforward import ACTIVATIONS
from groundup.model.moe.mixture import Mixture
from groundup.model.parts import MoeConfig

TOKENS = 40


def mixture(kernel="plain", *, feedforward="swiglu", n_experts=8, top_k=3, d_model=32, **moe):
    config = ModelConfig(
        d_model=d_model,
        n_heads=2,
        d_ff=64,
        feedforward=feedforward,
        moe=MoeConfig(n_experts=n_experts, top_k=top_k, kernel=kernel, **moe),
    )
    made = Mixture(config)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return made


def tokens(rows=2, columns=TOKENS // 2, d_model=32, dtype=torch.float32):
    x = torch.randn(rows, columns, d_model, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    return x.to(dtype).requires_grad_()


def formula(mixture, x_BTD, feedforward):
    """Token by token, expert by expert, as one would write it on paper."""
    activation, experts = ACTIVATIONS[feedforward], mixture.experts
    out = []
    for x_D in x_BTD.flatten(0, 1):
        probabilities = (mixture.router.weight @ x_D).softmax(0)
        chosen = probabilities.argsort(descending=True)[: mixture.router.config.top_k]
        total = torch.zeros_like(x_D)
        for e in chosen:
            hidden = experts.up[e] @ x_D
            hidden = activation(hidden) if experts.gate is None else activation(experts.gate[e] @ x_D) * hidden
            total = total + probabilities[e] / probabilities[chosen].sum() * (experts.down[e] @ hidden)
        if mixture.shared is not None:
            total = total + mixture.shared(x_D)
        out.append(total)
    return torch.stack(out).view_as(x_BTD)


def value_and_gradients(mixture, x, run):
    out = run(x)
    out.mul(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in mixture.parameters())]


@pytest.mark.parametrize("feedforward", ["swiglu", "geglu", "bilinear", "relu2", "gelu"])
@pytest.mark.parametrize("kernel", ["plain", "grouped", "fastest"])
def test_each_kernel_is_the_formula_in_value_and_gradient(kernel, feedforward):
    made, x = mixture(kernel, feedforward=feedforward, n_shared=2), tokens()
    found = value_and_gradients(made, x, made)
    made, x = mixture(kernel, feedforward=feedforward, n_shared=2), tokens()
    expected = value_and_gradients(made, x, lambda x: formula(made, x, feedforward))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * float(b.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("kernel", ["plain", "fastest"])
def test_in_fp64_it_is_the_formula_to_its_rounding(kernel):
    made, x = mixture(kernel).double(), tokens(dtype=torch.float64)
    found = value_and_gradients(made, x, made)
    made, x = mixture(kernel).double(), tokens(dtype=torch.float64)
    for a, b in zip(found, value_and_gradients(made, x, lambda x: formula(made, x, "swiglu")), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kernel", ["plain", "grouped", "fastest"])
def test_an_expert_that_nobody_chose_gets_no_gradient_and_harms_none(kernel):
    made, x = mixture(kernel, top_k=2), tokens()
    favorites = torch.zeros_like(made.router.weight)
    favorites[[2, 5]] = 100 * F.normalize(x.detach().mean((0, 1)), dim=0)
    made.router.weight.data.copy_(favorites)
    x = (10 * x.detach().mean((0, 1)) + 0.1 * x.detach()).requires_grad_()
    found = value_and_gradients(made, x, made)
    expected = value_and_gradients(made, x.detach().requires_grad_(), lambda x: formula(made, x, "swiglu"))
    torch.testing.assert_close(found[0], expected[0], atol=1e-4, rtol=1e-4)
    idle = [e for e in range(8) if e not in (2, 5)]
    for weight in (made.experts.gate, made.experts.up, made.experts.down):
        assert torch.isfinite(weight.grad).all()
        assert not weight.grad[idle].any()
        assert weight.grad[[2, 5]].any()


@pytest.mark.parametrize("kernel", ["plain", "grouped", "fastest"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_tokens_are_as_many(kernel, count):
    made, x = mixture(kernel), tokens()
    with torch.no_grad():
        torch.testing.assert_close(made(x[:, :count]), made(x)[:, :count], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", ["plain", "grouped", "fastest"])
def test_under_autocast_the_choice_is_that_of_fp32_and_the_result_is_near(kernel):
    made, x = mixture(kernel, n_shared=1), tokens(8, 64)
    exact = value_and_gradients(made, x, made)
    chosen = made.router(x)[0]
    made, x = mixture(kernel, n_shared=1), tokens(8, 64)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = value_and_gradients(made, x, made)
        assert torch.equal(made.router(x)[0], chosen)
    assert rounded[0].dtype == torch.bfloat16
    for a, b in zip(rounded, exact, strict=True):
        assert (a.float() - b).norm() < 0.02 * b.norm()


@pytest.mark.parametrize("kernel", ["plain", "grouped"])
def test_weights_in_bf16_work_without_autocast(kernel):
    made, x = mixture(kernel).bfloat16(), tokens(dtype=torch.bfloat16)
    out = made(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), mixture("plain")(tokens()), atol=0.3, rtol=0.1)


def test_shapes_and_operations_are_known_without_memory():
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        made = Mixture(ModelConfig(d_model=4096, d_ff=14336, moe=MoeConfig(n_experts=8, n_groups=2, n_shared=1)))
        x = torch.zeros(2, 10, 4096)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        out = made(x)
    assert (out.shape, out.device.type) == ((2, 10, 4096), "meta")
    assert counter.get_total_flops() == 2 * 20 * 4096 * (3 * (2 + 1) * 14336 + 8) + 2 * 20 * 2 * 4096


def test_widths_that_torchs_grouped_product_does_not_take_run_one_after_the_other():
    x = tokens(d_model=20)
    torch.testing.assert_close(mixture("fastest", d_model=20)(x), mixture("plain", d_model=20)(x), atol=1e-6, rtol=1e-6)
    with pytest.raises(UserError, match="64 × 20 do not fit the grouped kernel") as error:
        mixture("grouped", d_model=20)
    assert "fastest" in error.value.hint


def test_experts_have_a_width_of_their_own_and_shared_ones_a_multiple():
    made = mixture(d_expert=16, n_shared=3)
    assert made.experts.up.shape == made.experts.gate.shape == (8, 16, 32)
    assert made.experts.down.shape == (8, 32, 16)
    assert made.shared.up.weight.shape == (48, 32)
    assert [*map(id, made.outputs)] == [id(made.experts.down), id(made.shared.down.weight)]
    assert mixture(feedforward="relu").experts.gate is None
