import pytest
import torch

from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.transformer import Transformer
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


def small_model():
    return initialize(Transformer(ModelConfig(n_layers=2, d_model=32, n_heads=2), 60), seed=0)


def learn(model, optimizer, steps, start=0):
    for step in range(start, start + steps):
        tokens = torch.randint(0, 60, (2, 16), generator=torch.Generator().manual_seed(step))
        torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
        optimizer.clip()
        optimizer.step(1e-2)


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_state_that_is_taken_back_goes_on_to_the_bit(name):
    config = OptimConfig(optimizer=name)
    model = small_model()
    optimizer = Optimizer(model, config)
    learn(model, optimizer, 3)
    copy = small_model()
    copy.load_state_dict(model.state_dict())
    copied = Optimizer(copy, config)
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
