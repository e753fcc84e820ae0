"""Law 6: tied weights stay tied, through initialization, training, saving and loading."""

import pytest
import torch

from groundup.model.parts import MoeConfig
from groundup.model.store import load_model, load_weights, save_model, weights
from groundup.optim.config import OptimConfig
from groundup.optim.optimizer import Optimizer
from groundup.train.checkpoint import Checkpoint, CheckpointFolder
from groundup.train.step import Stepper


def is_tied(model):
    return model.head.weight is model.embedding.weight


EXPERTS = {"moe": MoeConfig(n_experts=4), "n_predict": 1}


@pytest.mark.parametrize("parts", [{}, EXPERTS], ids=["dense", "experts that look ahead"])
def test_tied_weights_stay_tied(parts, make_model, objective, fp32, batches, tmp_path):
    model = make_model(**parts)
    assert is_tied(model)
    stepper = Stepper(model, objective, Optimizer(model, OptimConfig()), fp32)
    stepper.update(batches, 0, 0.1, 4, seed=0)
    assert is_tied(model)
    save_model(model, tmp_path, "x")
    loaded = load_model(tmp_path, "x")
    assert is_tied(loaded)
    assert torch.equal(loaded.head.weight, model.head.weight)
    assert is_tied(model.to("cpu").float())


@pytest.mark.parametrize("parts", [{}, EXPERTS], ids=["dense", "experts that look ahead"])
def test_tied_weights_are_one_tensor_in_a_checkpoint(parts, make_model, tmp_path):
    folder = CheckpointFolder(tmp_path, keep=1)
    model = make_model(**parts)
    folder.save(Checkpoint(1, 0.0, weights(model), {}))
    stored = folder.latest()
    assert stored is not None
    assert "head.weight" not in stored.model
    fresh = make_model(**parts)
    load_weights(fresh, stored.model)
    assert is_tied(fresh)
