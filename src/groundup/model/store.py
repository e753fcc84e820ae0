"""A model on disk: `config.json` and `model.safetensors`."""

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from groundup.core.errors import UserError
from groundup.core.files import read_json, write_json
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_model(model: Transformer, folder: Path, tokenizer_hash: str) -> None:
    """Write the model into `folder`. Tied weights are stored once."""
    description = {"model": model.config.model_dump(), "vocab_size": model.vocab_size, "tokenizer": tokenizer_hash}
    write_json(folder / CONFIG, description)
    save_file(weights(model), folder / WEIGHTS)


def load_model(folder: Path, tokenizer_hash: str) -> Transformer:
    """Read a model written by `save_model`. Raises UserError if its vocabulary is not the one with that hash."""
    description = read_json(folder / CONFIG)
    if description["tokenizer"] != tokenizer_hash:
        raise UserError(
            f"the model in {folder} was trained with another vocabulary ({description['tokenizer'][:12]}, "
            f"not {tokenizer_hash[:12]})",
            "use the tokenizer of the same run, or build the model again",
        )
    model = Transformer(ModelConfig.model_validate(description["model"]), description["vocab_size"])
    load_weights(model, load_file(folder / WEIGHTS))
    return model


def weights(model: nn.Module) -> dict:
    """Named weights; a tied one only under its first name."""
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}


def load_weights(model: nn.Module, stored: dict) -> None:
    """Copy stored weights into the model, in place, so that ties and optimizers keep their tensors."""
    own = dict(model.named_parameters())
    assert own.keys() == stored.keys(), own.keys() ^ stored.keys()
    for name, parameter in own.items():
        parameter.data.copy_(stored[name])
