"""Balance: the losses are those of the papers, and experts do become evenly busy."""

import math

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from groundup.model.config import ModelConfig
from groundup.model.moe.balance import finish_step, take_auxiliary_loss
from groundup.model.moe.losses import load_balancing_loss, router_z_loss
from groundup.model.moe.mixture import Mixture
from groundup.model.parts import MoeConfig

EXPERTS = 8


def mixture(seed=0, **moe):
    made = Mixture(ModelConfig(d_model=16, d_ff=32, moe=MoeConfig(n_experts=EXPERTS, **moe)))
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return made


@pytest.fixture
def x():
    return 1 + torch.randn(4, 100, 16, generator=torch.Generator().manual_seed(1))


ALL = torch.ones(4, 100, dtype=torch.bool)


def shares(made, x, counted=ALL):
    chosen = made.router(x)[0][counted]
    return torch.bincount(chosen.flatten(), minlength=EXPERTS) / chosen.numel()


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_the_loss_is_transformers_over_top_k(top_k):
    pytest.importorskip("transformers")
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    logits = 2 * torch.randn(200, EXPERTS, generator=torch.Generator().manual_seed(0))
    probabilities = logits.softmax(-1)
    chosen = probabilities.topk(top_k).indices
    shares_E = torch.bincount(chosen.flatten(), minlength=EXPERTS) / chosen.numel()
    ours = load_balancing_loss(probabilities, shares_E).mean()
    theirs = load_balancing_loss_func((logits,), EXPERTS, top_k)
    torch.testing.assert_close(top_k * ours, theirs)


def test_even_loads_lose_one_and_logits_of_zero_the_square_of_ln_e():
    even = torch.full((5, EXPERTS), 1 / EXPERTS)
    torch.testing.assert_close(load_balancing_loss(even, even[0]), torch.ones(5))
    torch.testing.assert_close(router_z_loss(torch.zeros(5, EXPERTS)), torch.full((5,), math.log(EXPERTS) ** 2))


@pytest.mark.parametrize("scoring", ["softmax", "sigmoid"])
def test_the_auxiliary_loss_is_a_sum_over_counted_tokens_of_the_last_loads(x, scoring):
    made = mixture(scoring=scoring, balance_weight=0.5, z_weight=0.25)
    made.router.load.copy_(torch.arange(EXPERTS) / 28)
    counted = torch.rand(4, 100, generator=torch.Generator().manual_seed(2)) < 0.5
    made(x)
    found = take_auxiliary_loss(made, counted)
    logits = (x @ made.router.weight.T)[counted]
    scores = logits.softmax(-1) if scoring == "softmax" else logits.sigmoid() / logits.sigmoid().sum(-1, keepdim=True)
    balance = EXPERTS * (scores * made.router.load).sum()
    torch.testing.assert_close(found, 0.5 * balance + 0.25 * logits.logsumexp(-1).square().sum())


def test_a_step_counts_all_its_micro_batches_and_begins_anew(x):
    made = mixture()
    for part, counted in zip(x.split(1), ALL.split(1), strict=True):
        made(part)
        take_auxiliary_loss(made, counted)
    metrics = finish_step(made)
    expected = shares(made, x)
    assert torch.equal(made.router.load, expected)
    entropy = -(expected[expected > 0] * expected[expected > 0].log()).sum().item() / math.log(EXPERTS)
    assert metrics == pytest.approx(
        {
            "moe_max_load": EXPERTS * expected.max().item(),
            "moe_idle_experts": (expected == 0).sum().item(),
            "moe_entropy": entropy,
        }
    )
    assert made.router.counts is None
    assert finish_step(made) == {}
    assert torch.equal(made.router.load, expected)


def test_metrics_are_the_worst_the_sum_and_the_mean_over_layers():
    one, even = (mixture(top_k=1, balance="bias") for _ in range(2))
    one.router.counts = torch.tensor([8, 0, 0, 0, 0, 0, 0, 0])
    even.router.counts = torch.tensor([2] * 8)
    metrics = finish_step(torch.nn.ModuleList([one, even]))
    assert metrics == {"moe_max_load": 8.0, "moe_idle_experts": 7.0, "moe_entropy": pytest.approx(0.5)}


def test_the_bias_moves_by_its_rate_towards_the_mean_load():
    made = mixture(top_k=1, balance="bias", bias_rate=0.25)
    made.router.counts = torch.tensor([8, 0, 2, 2, 2, 2, 0, 0])
    finish_step(made)
    assert made.router.bias.tolist() == [-0.25, 0.25, 0, 0, 0, 0, 0.25, 0.25]


def test_counts_of_several_ranks_are_one_batch(x):
    made = mixture(balance="bias")
    made(x)
    take_auxiliary_loss(made, ALL)
    counts = made.router.counts
    other = torch.randint(0, 100, (EXPERTS,))
    finish_step(made, reduce=lambda counts_LE: counts_LE + other)
    total = counts + other
    assert torch.equal(made.router.bias, 0.001 * (total.double().mean() - total).sign().float())


@pytest.mark.parametrize("balance", ["loss", "bias", "none"])
def test_experts_become_evenly_busy_where_that_is_asked_for(balance, x):
    made = mixture(top_k=2, balance=balance, balance_weight=1.0, bias_rate=0.02)
    optimizer = torch.optim.SGD(made.router.parameters(), 2e-4)
    busiest = []
    for _ in range(150):
        out = made(x)
        loss = take_auxiliary_loss(made, ALL)
        if loss is not None:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        busiest.append(finish_step(made)["moe_max_load"])
        assert torch.isfinite(out).all()
    assert busiest[0] > 2
    assert max(busiest[-30:]) < 1.5 if balance != "none" else busiest[-1] == busiest[0]


def test_recomputing_activations_counts_once_and_keeps_the_gradient(x):
    gradients, loads = [], []
    for recompute in (False, True):
        made = mixture(z_weight=0.1)
        inputs = x.clone().requires_grad_()
        for _ in range(2):
            out = checkpoint(made, inputs, use_reentrant=False) if recompute else made(inputs)
            (out.square().sum() + take_auxiliary_loss(made, ALL)).backward()
        assert made.router.counts.sum() == 2 * 400 * 2
        loads.append(finish_step(made))
        gradients.append([inputs.grad, *(p.grad for p in made.parameters())])
        assert made.router.routing is None
    assert loads[0] == loads[1]
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_a_model_without_experts_has_nothing_to_balance():
    dense = torch.nn.Linear(2, 2)
    assert take_auxiliary_loss(dense, ALL) is None
    assert finish_step(dense) == {}
