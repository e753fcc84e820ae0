"""Tensors of a folder held against those that its config asks for."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from groundup.core.errors import UserError
from groundup.interop.hugging_face.family import Family
from groundup.interop.hugging_face.tensors import Pair
from groundup.interop.hugging_face.weights import StoredWeights
from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.store import weights

HEAD = "lm_head.weight"
_SHOWN = 10
_LEARNED_LATER = "router.load"  # what balancing remembers of the last step; no family has it

Shape = tuple[int, ...]


def shapes_of(config: ModelConfig, vocab_size: int) -> dict[str, Tensor]:
    """Our tensors without storage, those that other programs know of."""
    with torch.device("meta"):
        return exported(weights(build_model(config, vocab_size)))


def exported(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What other programs know of: without modules that predict further ahead and the memory of balancing."""
    return {
        name: tensor
        for name, tensor in own.items()
        if not name.startswith("predictors.") and not name.endswith(_LEARNED_LATER)
    }


def pairs_of(family: Family, config: ModelConfig, stored: Iterable[str]) -> list[Pair]:
    """The pairs, with their names as they are stored: with or without prefix, experts one by one or together."""
    names = list(stored)
    fused = any(name.endswith("experts.gate_up_proj") for name in names)
    pairs = family.pairs(config, fused=fused)
    if any(name.startswith(family.prefix) for name in names):
        return pairs
    return [replace(pair, theirs=tuple(name.removeprefix(family.prefix) for name in pair.theirs)) for pair in pairs]


def shapes_of_theirs(pairs: list[Pair], ours: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shape that each of their tensors must have, by their operation on ours without storage."""
    shapes: dict[str, Shape] = {}
    for pair in pairs:
        made = pair.operation.to_theirs([ours[name] for name in pair.ours])
        shapes |= {name: tuple(tensor.shape) for name, tensor in zip(pair.theirs, made, strict=True)}
    return shapes


def check_tensors(stored: StoredWeights, wanted: Mapping[str, Shape], ignored: str, where: str) -> None:
    """Raise one UserError with all tensors that are missing, left over, or of another shape."""
    found = stored.tensors
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [
        f"{name} is not known" for name in sorted(found) if name not in wanted and not re.fullmatch(ignored, name)
    ]
    problems += [
        f"{name} is {list(found[name].shape)}, expected {list(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name].shape != shape
    ]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise UserError(
            f"{where}: the weights do not fit config.json: {'; '.join(problems[:_SHOWN])}{more}",
            "copy both again; weights of another model, or of one changed by an adapter, do not belong here",
        )


def check_tie(stored: StoredWeights, embedding: str, where: str) -> None:
    """Raise UserError if a head is stored beside the embedding that it is said to be, and differs from it."""
    if HEAD in stored.tensors and not torch.equal(stored.read(HEAD), stored.read(embedding)):
        raise UserError(
            f"{where}: config.json says that {HEAD} is {embedding}, and the weights hold two different ones",
            "set tie_word_embeddings in config.json to what the model was trained with",
        )
