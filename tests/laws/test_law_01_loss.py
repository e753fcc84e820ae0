"""Law 1: the loss is the sum over valid labels of the global batch, divided by their number, however it is split."""

import numpy as np
import pytest
import torch

from groundup.data.batches import IGNORE, Batch, PackedRows
from groundup.model.moe.balance import finish_step
from groundup.model.parts import MoeConfig
from groundup.model.store import weights
from groundup.optim.config import OptimConfig
from groundup.optim.optimizer import Optimizer
from groundup.train.step import Stepper

EXPERTS = MoeConfig(n_experts=6, top_k=2, d_expert=24, z_weight=0.01, balance_weight=0.1)
LEARNERS = {
    "dense": {},
    "experts, loss": {"moe": EXPERTS},
    "experts, bias": {"moe": EXPERTS.model_copy(update={"balance": "bias", "scoring": "sigmoid", "n_shared": 1})},
    "experts that look ahead": {"moe": EXPERTS, "n_predict": 2},
}


@pytest.fixture(params=LEARNERS)
def make_learner(request, make_model):
    """A model of each kind that a split could do wrong; experts are in the middle of a training."""

    def make():
        model = make_model(**LEARNERS[request.param])
        for seed, (name, buffer) in enumerate(model.named_buffers()):
            noise = torch.rand(buffer.shape, generator=torch.Generator().manual_seed(seed))
            if name.endswith("router.load"):
                buffer.copy_(noise / noise.sum())
            if name.endswith("router.bias"):
                buffer.copy_(0.1 * noise)
        return model

    return make


def gradients(stepper, batches, micro_rows):
    """Losses and gradients of batch 0, before any optimizer has scaled them."""
    parts = [batches.slice(0, i, min(i + micro_rows, 8)) for i in range(0, 8, micro_rows)]
    weight = sum(part.n_labels for part in parts)
    losses = [stepper._accumulate(part, weight) for part in parts if part.n_labels]
    total = [sum(loss or 0.0 for loss in column) for column in zip(*losses, strict=True)]
    return total, {name: p.grad.clone() for name, p in stepper.model.named_parameters()}


@pytest.mark.parametrize("micro_rows", [1, 2, 3, 5])
def test_any_split_into_micro_batches_gives_the_same_loss_and_gradients(
    micro_rows, make_learner, objective, fp32, batches
):
    whole, split = (Stepper(m, objective, Optimizer(m, OptimConfig()), fp32) for m in (make_learner(), make_learner()))
    whole_loss, whole_gradients = gradients(whole, batches, 8)
    split_loss, split_gradients = gradients(split, batches, micro_rows)
    assert split_loss == pytest.approx(whole_loss, rel=1e-5)
    for name, gradient in whole_gradients.items():
        torch.testing.assert_close(split_gradients[name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("micro_rows", [1, 3])
def test_any_split_leaves_experts_balanced_alike(micro_rows, make_learner, objective, fp32, batches):
    found = []
    for rows in (8, micro_rows):
        model = make_learner()
        result = Stepper(model, objective, Optimizer(model, OptimConfig()), fp32).update(batches, 0, 0.0, rows, seed=0)
        found.append((dict(result.experts), {n: b for n, b in model.named_buffers() if "router" in n}))
    (whole, whole_buffers), (split, split_buffers) = found
    assert split == whole
    assert bool(whole) == (make_learner().config.moe is not None)
    fresh = dict(make_learner().named_buffers())
    for name, buffer in whole_buffers.items():
        assert torch.equal(split_buffers[name], buffer)
        assert not torch.equal(fresh[name], buffer)


def test_the_loss_is_the_mean_over_valid_labels(make_model, objective, fp32, batches):
    model = make_model()
    batch = batches.batch(0)
    per_label = objective.losses(model, batch, fp32.device)
    valid = torch.from_numpy(batch.labels != IGNORE)
    expected = per_label[valid].mean().item()
    result = Stepper(model, objective, Optimizer(model, OptimConfig()), fp32).update(batches, 0, 0.0, 3, seed=0)
    assert result.loss == pytest.approx(expected, rel=1e-5)
    assert result.weight == valid.sum()
    assert per_label[~valid].abs().max() == 0


def test_packing_changes_neither_loss_nor_gradients(make_learner, objective, fp32, conversations):
    tokens, trained, lengths = conversations
    packed = PackedRows(tokens, trained, lengths, seq_len=32, pad_id=0)
    alone = [
        PackedRows(tokens[e - n : e], trained[e - n : e], [n], seq_len=32, pad_id=0)
        for e, n in zip(np.cumsum(lengths), lengths, strict=True)
    ]
    sums, collected, balanced = [], [], []
    for parts in ([packed.row(i) for i in range(len(packed))], [one.row(0) for one in alone]):
        model = make_learner()
        losses = [objective.loss(model, Batch(*(a[None] for a in row)), fp32.device) for row in parts]
        total = sum(x for loss in losses for x in loss if x is not None)
        total.backward()
        sums.append(total.item())
        collected.append({name: p.grad for name, p in model.named_parameters()})
        balanced.append(finish_step(model))
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    assert balanced[0] == balanced[1]
    for name, gradient in collected[0].items():
        torch.testing.assert_close(gradient, collected[1][name], atol=1e-4, rtol=1e-4)


class NothingToLearn:
    rows_per_batch = 2

    def slice(self, step, start, stop):
        shape = (stop - start, 8)
        zeros = np.zeros(shape, np.int64)
        return Batch(zeros, np.full(shape, IGNORE), zeros, zeros.astype(np.int32))


def test_a_batch_without_a_valid_label_changes_nothing(make_learner, objective, fp32):
    model = make_learner()
    before = {name: tensor.clone() for name, tensor in weights(model).items()}
    optimizer = Optimizer(model, OptimConfig())
    result = Stepper(model, objective, optimizer, fp32).update(NothingToLearn(), 0, 0.1, 1, seed=0)
    assert (result.loss, result.weight, result.bits_per_byte) == (0.0, 0, 0.0)
    assert not optimizer.state()
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, before[name])
