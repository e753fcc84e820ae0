import pytest
import torch
from safetensors.torch import load_file

from groundup.core.errors import UserError
from groundup.model.store import load_model, save_model


def test_a_model_comes_back_as_it_was(model, tokens, tmp_path):
    save_model(model, tmp_path, "vocabulary-1")
    again = load_model(tmp_path, "vocabulary-1")
    assert torch.equal(model(tokens), again(tokens))


def test_a_model_refuses_another_vocabulary_by_name(model, tmp_path):
    save_model(model, tmp_path, "a" * 64)
    with pytest.raises(UserError, match="trained with another vocabulary"):
        load_model(tmp_path, "b" * 64)


def test_tied_weights_are_stored_once(model, tmp_path):
    save_model(model, tmp_path, "x")
    assert ("head.weight" in load_file(tmp_path / "model.safetensors")) is not model.config.tie_embeddings
