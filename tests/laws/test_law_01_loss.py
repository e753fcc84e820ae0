"""Law 1: the loss is the sum over valid labels of the global batch, divided by their number, however it is split."""

import numpy as np
import pytest
import torch

from groundup.data.batches import IGNORE, Batch, PackedRows
from groundup.optim.config import OptimConfig
from groundup.optim.optimizer import Optimizer
from groundup.train.step import Stepper


def gradients(stepper, batches, micro_rows):
    """Loss and gradients of batch 0, before any optimizer has scaled them."""
    parts = [batches.slice(0, i, min(i + micro_rows, 8)) for i in range(0, 8, micro_rows)]
    weight = sum(part.n_labels for part in parts)
    loss = sum(stepper._accumulate(part, weight) for part in parts if part.n_labels)
    return loss, {name: p.grad.clone() for name, p in stepper.model.named_parameters()}


@pytest.mark.parametrize("micro_rows", [1, 2, 3, 5])
def test_any_split_into_micro_batches_gives_the_same_loss_and_gradients(
    micro_rows, make_model, objective, fp32, batches
):
    whole, split = (Stepper(m, objective, Optimizer(m, OptimConfig()), fp32) for m in (make_model(), make_model()))
    whole_loss, whole_gradients = gradients(whole, batches, 8)
    split_loss, split_gradients = gradients(split, batches, micro_rows)
    assert split_loss == pytest.approx(whole_loss, rel=1e-5)
    for name, gradient in whole_gradients.items():
        torch.testing.assert_close(split_gradients[name], gradient, atol=1e-6, rtol=1e-4)


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


def test_packing_changes_neither_loss_nor_gradients(make_model, objective, fp32, conversations):
    tokens, trained, lengths = conversations
    packed = PackedRows(tokens, trained, lengths, seq_len=32, pad_id=0)
    sums, collected = [], []
    for rows in (packed, *[None]):
        model = make_model()
        if rows is None:
            ends = np.cumsum(lengths)
            alone = [
                PackedRows(tokens[e - n : e], trained[e - n : e], [n], seq_len=32, pad_id=0)
                for e, n in zip(ends, lengths, strict=True)
            ]
            parts = [one.row(0) for one in alone]
        else:
            parts = [rows.row(i) for i in range(len(rows))]
        total = sum(objective.loss(model, Batch(*(a[None] for a in row)), fp32.device) for row in parts)
        total.backward()
        sums.append(total.item())
        collected.append({name: p.grad for name, p in model.named_parameters()})
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    for name, gradient in collected[0].items():
        torch.testing.assert_close(gradient, collected[1][name], atol=1e-4, rtol=1e-4)


class NothingToLearn:
    rows_per_batch = 2

    def slice(self, step, start, stop):
        shape = (stop - start, 8)
        zeros = np.zeros(shape, np.int64)
        return Batch(zeros, np.full(shape, IGNORE), zeros, zeros.astype(np.int32))


def test_a_batch_without_a_valid_label_changes_nothing(make_model, objective, fp32):
    model = make_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = Optimizer(model, OptimConfig())
    result = Stepper(model, objective, optimizer, fp32).update(NothingToLearn(), 0, 0.1, 1, seed=0)
    assert (result.loss, result.weight, result.bits_per_byte) == (0.0, 0, 0.0)
    assert not optimizer.state()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
