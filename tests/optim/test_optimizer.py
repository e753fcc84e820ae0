import pytest
import torch

from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.parts import MoeConfig
from groundup.optim.config import OptimConfig
from groundup.optim.muon import ADAMW_RMS, orthogonalize
from groundup.optim.optimizer import Optimizer


@pytest.mark.parametrize("shape", [(16, 16), (16, 48), (48, 16)])
def test_newton_schulz_makes_matrices_nearly_orthogonal(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalize(matrices).float()
    for matrix, made in zip(matrices, result, strict=True):
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        values = torch.linalg.svdvals(made)
        assert 0.6 < values.min() <= values.max() < 1.25
        assert torch.nn.functional.cosine_similarity((u @ v).flatten(), made.flatten(), dim=0) > 0.97


def test_matrices_of_one_shape_together_are_as_each_alone():
    matrices = torch.randn(4, 24, 24)
    together = orthogonalize(matrices)
    for i in range(4):
        torch.testing.assert_close(together[i], orthogonalize(matrices[i : i + 1])[0], atol=0.02, rtol=0.02)


def test_stacks_of_matrices_are_made_orthogonal_one_by_one():
    stacks = torch.randn(2, 3, 16, 24)
    together = orthogonalize(stacks)
    assert together.shape == stacks.shape
    torch.testing.assert_close(together, orthogonalize(stacks.flatten(0, 1)).view_as(stacks))


EXPERTS = MoeConfig(n_experts=4, d_expert=48, balance="bias")


def small_model(**changes):
    config = ModelConfig(**{"n_layers": 2, "d_model": 32, "n_heads": 2} | changes)
    return initialize(build_model(config, 60), seed=0)


def learn(model, optimizer, steps, start=0):
    for step in range(start, start + steps):
        tokens = torch.randint(0, 60, (2, 16), generator=torch.Generator().manual_seed(step))
        torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
        optimizer.clip()
        optimizer.step(1e-2)


@pytest.mark.parametrize("parts", [{}, {"moe": EXPERTS}, {"kind": "lstm"}], ids=["dense", "experts", "lstm"])
@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_state_that_is_taken_back_goes_on_to_the_bit(name, parts):
    config = OptimConfig(optimizer=name)
    model = small_model(**parts)
    scales = {parameter: 0.5 for parameter, _ in model.named_parameters() if "norm" not in parameter}
    optimizer = Optimizer(model, config, scales)
    learn(model, optimizer, 3)
    copy = small_model(**parts)
    copy.load_state_dict(model.state_dict())
    copied = Optimizer(copy, config, scales)
    copied.load_state({key: value.clone() for key, value in optimizer.state().items()})
    for each, its in ((model, optimizer), (copy, copied)):
        learn(each, its, 2, start=3)
    for a, b in zip(model.parameters(), copy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_muon_updates_are_as_large_as_adamws():
    model = small_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    learn(model, Optimizer(model, OptimConfig(weight_decay=0.0)), 1)
    for name, parameter in model.named_parameters():
        if name.endswith("o.weight"):
            size = (parameter - before[name]).square().mean().sqrt() / 1e-2
            assert 0.7 * ADAMW_RMS < size < 1.2 * ADAMW_RMS


def test_each_expert_is_updated_as_a_matrix_of_its_own():
    model = small_model(moe=EXPERTS)
    optimizer = Optimizer(model, OptimConfig(weight_decay=0.0))
    weight = model.blocks[0].feedforward.experts.up
    before = weight.detach().clone()
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    weight.grad[1] = 0  # nobody chose it
    optimizer.step(1e-2)
    update = before - weight.detach()
    assert not update[1].any()
    for expert in (0, 2, 3):
        values = torch.linalg.svdvals(update[expert] / (1e-2 * ADAMW_RMS * 48**0.5))
        assert 0.6 < values.min() <= values.max() < 1.25


def sorted_by(optimizer, model):
    """Names of the parameters that have a state of Muon, and of AdamW, after a step."""
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(1e-3)
    by_muon = {name.split(":")[0] for name in optimizer.state() if name.endswith(":momentum")}
    return by_muon, {name.split(":")[0] for name in optimizer.state()} - by_muon


@pytest.mark.parametrize(
    "parts",
    [{"moe": EXPERTS, "n_predict": 1, "tie_embeddings": False}, {"kind": "lstm"}, {"position": "learned"}],
    ids=["experts", "lstm", "learned positions"],
)
def test_muon_has_the_matrices_of_blocks_and_predictors_and_adamw_the_rest(parts):
    model = small_model(**parts)
    by_muon, by_adamw = sorted_by(Optimizer(model, OptimConfig()), model)
    matrices = {name for name, parameter in model.named_parameters() if parameter.dim() >= 2}
    tables = matrices & {"embedding.weight", "head.weight", "position.weight"}
    assert by_muon == matrices - tables
    assert by_adamw == {name for name, _ in model.named_parameters()} - by_muon
    assert not sorted_by(Optimizer(model, OptimConfig(optimizer="adamw")), model)[0]


def test_buffers_are_not_updated():
    model = small_model(moe=EXPERTS)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    learn(model, Optimizer(model, OptimConfig()), 2)
    assert any(name.endswith("router.bias") for name in before)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name])


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_a_scale_of_the_learning_rate_scales_the_update_and_not_the_decay(name):
    scaled = {"blocks.0.attention.q.weight": 0.25, "embedding.weight": 4.0, "norm.weight": 0.5}
    updates = []
    for scales in ({}, scaled):
        model = small_model()
        optimizer = Optimizer(model, OptimConfig(optimizer=name, weight_decay=0.0), scales)
        before = {key: p.detach().clone() for key, p in model.named_parameters()}
        learn(model, optimizer, 1)
        updates.append({key: p.detach() - before[key] for key, p in model.named_parameters()})
    for key, update in updates[0].items():
        torch.testing.assert_close(updates[1][key], scaled.get(key, 1.0) * update, atol=1e-6, rtol=1e-3)
    model = small_model()
    optimizer = Optimizer(model, OptimConfig(optimizer=name, weight_decay=0.5), scaled)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.1)
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, before[key] * (0.95 if parameter.dim() >= 2 else 1))


def test_norms_do_not_decay():
    model = small_model()
    optimizer = Optimizer(model, OptimConfig(weight_decay=1.0, optimizer="adamw"))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    embedding = model.embedding.weight.detach().clone()
    optimizer.step(0.1)
    assert torch.equal(model.norm.weight, torch.ones(32))
    torch.testing.assert_close(model.embedding.weight, embedding * 0.9)


def test_gradients_are_clipped_to_the_limit():
    model = small_model()
    optimizer = Optimizer(model, OptimConfig(clip_norm=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = optimizer.clip().item()
    assert before == pytest.approx(sum(p.numel() for p in model.parameters()) ** 0.5)
    assert optimizer.clip().item() == pytest.approx(0.5, rel=1e-4)
