"""Law 6: tied weights stay tied, through initialization, training, saving and loading."""

import torch

from groundup.model.store import load_model, save_model
from groundup.optim.config import OptimConfig
from groundup.optim.optimizer import Optimizer
from groundup.train.checkpoint import Checkpoint, CheckpointFolder
from groundup.train.step import Stepper


def is_tied(model):
    return model.head.weight is model.embedding.weight


def test_tied_weights_stay_tied(make_model, objective, fp32, batches, tmp_path):
    model = make_model()
    assert is_tied(model)
    stepper = Stepper(model, objective, Optimizer(model, OptimConfig()), fp32)
    stepper.update(batches, 0, 0.1, 4, seed=0)
    assert is_tied(model)
    save_model(model, tmp_path, "x")
    loaded = load_model(tmp_path, "x")
    assert is_tied(loaded)
    assert torch.equal(loaded.head.weight, model.head.weight)
    assert is_tied(model.to("cpu").float())


def test_tied_weights_are_one_tensor_in_a_checkpoint(make_model, tmp_path):
    from groundup.model.store import load_weights, weights

    folder = CheckpointFolder(tmp_path, keep=1)
    model = make_model()
    folder.save(Checkpoint(1, 0.0, weights(model), {}))
    stored = folder.latest()
    assert stored is not None
    assert "head.weight" not in stored.model
    fresh = make_model()
    load_weights(fresh, stored.model)
    assert is_tied(fresh)
