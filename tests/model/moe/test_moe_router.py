"""Routers: who is chosen and with what weight, as in the papers and as in transformers."""

import copy

import pytest
import torch

from groundup.model.moe.router import Router
from groundup.model.parts import MoeConfig

D_MODEL, TOKENS = 16, 50


def router(**config):
    made = Router(D_MODEL, MoeConfig(**config))
    generator = torch.Generator().manual_seed(0)
    made.weight.data.copy_(torch.randn(made.weight.shape, generator=generator) / 4)
    if made.bias is not None:
        made.bias.copy_(0.3 * torch.randn(made.bias.shape, generator=generator))
    return made


@pytest.fixture
def x():
    return torch.randn(2, TOKENS // 2, D_MODEL, generator=torch.Generator().manual_seed(1))


def by_expert(made, x):
    """Weights in a table of tokens and experts: the order of a choice does not matter."""
    chosen, weights = made(x)
    assert chosen.shape == weights.shape == (*x.shape[:-1], made.config.top_k)
    return torch.zeros(*x.shape[:-1], made.config.n_experts).scatter(-1, chosen, weights)


def test_softmax_of_all_then_the_best_scaled_to_one(x):
    table = by_expert(router(n_experts=8, top_k=2), x)
    probabilities = (x @ router(n_experts=8).weight.T).softmax(-1)
    best = probabilities >= probabilities.sort(-1).values[..., -2:-1]
    expected = torch.where(best, probabilities, 0)
    torch.testing.assert_close(table, expected / expected.sum(-1, keepdim=True))
    unscaled = by_expert(router(n_experts=8, top_k=2, normalize_top_k=False, routed_scale=2.5), x)
    torch.testing.assert_close(unscaled, 2.5 * expected)


@pytest.mark.parametrize(("groups", "chosen_groups"), [(1, 1), (4, 2), (8, 3)])
@pytest.mark.parametrize("normalize", [True, False])
def test_sigmoid_with_bias_and_groups_is_deepseek_v3s(x, groups, chosen_groups, normalize):
    transformers = pytest.importorskip("transformers")
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3TopkRouter

    made = router(
        n_experts=16,
        top_k=3,
        scoring="sigmoid",
        balance="bias",
        n_groups=groups,
        top_groups=chosen_groups,
        normalize_top_k=normalize,
        routed_scale=2.5,
    )
    theirs = DeepseekV3TopkRouter(
        transformers.DeepseekV3Config(
            hidden_size=D_MODEL,
            n_routed_experts=16,
            num_experts_per_tok=3,
            n_group=groups,
            topk_group=chosen_groups,
            norm_topk_prob=normalize,
            routed_scaling_factor=2.5,
        )
    )
    theirs.weight.data.copy_(made.weight)
    theirs.e_score_correction_bias.copy_(made.bias)
    _, weights, chosen = theirs(x)
    expected = torch.zeros(TOKENS, 16).scatter(-1, chosen, weights).view(2, -1, 16)
    torch.testing.assert_close(by_expert(made, x), expected)


def test_the_bias_moves_the_choice_and_no_weight(x):
    made = router(n_experts=8, top_k=2, scoring="sigmoid", balance="bias", normalize_top_k=False)
    made.bias.zero_()
    made.bias[3] = 100
    chosen, weights = made(x)
    assert (chosen == 3).any(-1).all()
    scores = (x @ made.weight.T).sigmoid()
    torch.testing.assert_close(weights, scores.gather(-1, chosen))


@pytest.mark.parametrize("scoring", ["softmax", "sigmoid"])
def test_experts_come_from_the_best_groups_alone(x, scoring):
    made = router(n_experts=12, top_k=3, scoring=scoring, n_groups=4, top_groups=2)
    logits = (x @ made.weight.T).unflatten(-1, (4, 3))
    scores = logits.flatten(-2).softmax(-1).view_as(logits) if scoring == "softmax" else logits.sigmoid()
    worth = scores.amax(-1) if scoring == "softmax" else scores.sort(-1).values[..., -2:].sum(-1)
    chosen = made(x)[0]
    for at in ((row, column) for row in range(2) for column in range(TOKENS // 2)):
        groups = worth[at].argsort(descending=True)[:2].tolist()
        allowed = [expert for expert in range(12) if expert // 3 in groups]
        best = sorted(allowed, key=lambda e: -scores[at].flatten()[e])[:3]
        assert sorted(chosen[at].tolist()) == sorted(best)


def test_groups_of_one_expert_are_the_experts(x):
    one = router(n_experts=8, top_k=2, scoring="sigmoid", n_groups=8, top_groups=2)
    torch.testing.assert_close(by_expert(one, x), by_expert(router(n_experts=8, top_k=2, scoring="sigmoid"), x))


def test_logits_are_computed_in_fp32_whatever_else_is_not(x):
    made = router(n_experts=8, top_k=2)
    expected = made(x.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        found = made(x.bfloat16())
    assert found[1].dtype == torch.float32
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


def test_all_zero_scores_do_not_divide_by_zero(x):
    made = router(n_experts=4, top_k=2, scoring="sigmoid")
    made.weight.data.fill_(-1e4)
    assert torch.isfinite(made(x.abs())[1]).all()


def test_only_forward_passes_with_gradients_leave_a_trace_and_copies_none(x):
    made = router(n_experts=4, z_weight=0.1)
    with torch.no_grad():
        made(x)
    assert made.routing is None
    made(x)
    assert made.routing is not None
    assert copy.deepcopy(made).routing is None


@pytest.mark.parametrize(("balance", "kept"), [("loss", {"load"}), ("bias", {"bias"}), ("none", set())])
def test_what_balancing_has_learned_is_saved_with_the_weights(balance, kept):
    assert set(router(n_experts=4, balance=balance).state_dict()) == {"weight"} | kept
