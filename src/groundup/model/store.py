"""A model on disk: `config.json` and `model.safetensors`."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundup.core.errors import UserError
from groundup.core.files import read_json, write_json
from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel
from groundup.model.unfilled import unfilled_model

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_model(model: LanguageModel, folder: Path, tokenizer_hash: str) -> None:
    """Write the model into `folder`. Tied weights are stored once."""
    description = {"model": model.config.model_dump(), "vocab_size": model.vocab_size, "tokenizer": tokenizer_hash}
    write_json(folder / CONFIG, description)
    save_file(weights(model), folder / WEIGHTS)


def load_model(folder: Path, tokenizer_hash: str) -> LanguageModel:
    """Read a model written by `save_model`. Raises UserError if its vocabulary is not the one with that hash."""
    description = read_json(folder / CONFIG)
    if description["tokenizer"] != tokenizer_hash:
        raise UserError(
            f"the model in {folder} was trained with another vocabulary ({description['tokenizer'][:12]}, "
            f"not {tokenizer_hash[:12]})",
            "use the tokenizer of the same run, or build the model again",
        )
    config = ModelConfig.model_validate_json(json.dumps(description["model"]))
    model = unfilled_model(config, description["vocab_size"])
    load_weights(model, load_file(folder / WEIGHTS))
    return model


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Named weights, and the state that belongs to them (buffers that persist); a tied one under its first name."""
    return {name: tensor.detach().contiguous() for name, tensor in _named(model).items()}


def load_weights(model: nn.Module, stored: dict[str, Tensor]) -> None:
    """Copy stored weights into the model, in place, so that ties and optimizers keep their tensors."""
    own = _named(model)
    assert own.keys() == stored.keys(), own.keys() ^ stored.keys()
    for name, tensor in own.items():
        tensor.data.copy_(stored[name])


def _named(model: nn.Module) -> dict[str, Tensor]:
    first = dict(model.named_parameters())  # which leaves out the second name of a tied weight
    kept = model.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in kept.items() if name in first or not isinstance(tensor, nn.Parameter)}
