"""The architectures of GGUF that are supported, and which of them a model is written as."""

import torch
from torch import Tensor

from groundup.core.errors import UserError
from groundup.interop.essence import differences, essence, told
from groundup.interop.gguf.architecture import Architecture
from groundup.interop.gguf.deepseek2 import DEEPSEEK2
from groundup.interop.gguf.dense import LLAMA, QWEN2, QWEN3, QWEN3_MOE
from groundup.interop.gguf.gemma import GEMMA2, GEMMA3
from groundup.interop.gguf.gpt2 import GPT2
from groundup.interop.gguf.links import links_of, to_file
from groundup.interop.gguf.rope import frequency_factors
from groundup.interop.gguf.values import Values
from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.store import weights

# Where two express a model, the first is taken: it is the one of whose family such models are.
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (QWEN3, QWEN3_MOE, QWEN2, LLAMA, GEMMA2, GEMMA3, GPT2, DEEPSEEK2)
}

_NEAREST = 2
_SOURCE = "the model"
_UNREADABLE = 3  # an architecture that cannot take the model at all is as far as one that differs in so many ways


def architecture_named(name: str, source: str) -> Architecture:
    """The architecture of a file. Raises UserError, with those that there are, if it is not supported."""
    if name not in ARCHITECTURES:
        raise UserError(
            f"{source} holds a model of architecture '{name}', which is not supported",
            f"supported are {', '.join(sorted(ARCHITECTURES))}",
        )
    return ARCHITECTURES[name]


def choose_architecture(config: ModelConfig) -> Architecture:
    """The architecture that computes exactly what the config says.

    Raises UserError, with what stands in the way in the nearest ones, if there is none.
    """
    if config.kind != "transformer":
        raise UserError(f"llama.cpp has no architecture for a model of kind {config.kind}", "export a transformer")
    with torch.device("meta"):
        own = weights(build_model(config, 1))
    in_the_way: dict[str, list[str]] = {}
    distances: dict[str, int] = {}
    for name, architecture in ARCHITECTURES.items():
        try:
            in_the_way[name] = _obstacles(config, own, architecture)
            distances[name] = len(in_the_way[name])
        except UserError as error:
            in_the_way[name], distances[name] = [error.message.removeprefix(f"{_SOURCE}: ")], _UNREADABLE
        if not in_the_way[name]:
            return architecture
    nearest = sorted(distances, key=lambda name: distances[name])[:_NEAREST]
    facts = essence(config)
    reasons = "; ".join(f"{name}: {told(facts, in_the_way[name])}" for name in nearest)
    raise UserError(f"no architecture of llama.cpp computes this model; in the way of {reasons}", "export it as hf")


def _obstacles(config: ModelConfig, own: dict[str, Tensor], architecture: Architecture) -> list[str]:
    """Names of what in the config the architecture does not keep; none if it computes the same.

    Raises UserError if what would be written cannot be read.
    """
    names = frozenset(name for name, _ in to_file(links_of(own, config, architecture), own))
    factors = frequency_factors(config) if architecture.has_factors else None
    values = Values(_SOURCE, architecture.name, architecture.metadata(config), factors)
    lost = differences(essence(config), essence(architecture.config(values, names)))
    if not config.latent:  # rows of queries and keys are brought into the order that is wanted
        lost = [name for name in lost if name != "rope_pairing"]
    return lost
