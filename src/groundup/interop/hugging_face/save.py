"""A model as a folder of Hugging Face."""

import copy
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from groundup.core.errors import UserError
from groundup.core.files import os_error_in, write_json
from groundup.core.progress import ProgressTask, Reporter
from groundup.interop.hugging_face.families import family_for
from groundup.interop.hugging_face.load import CONFIG
from groundup.interop.hugging_face.matching import exported, shapes_of, shapes_of_theirs
from groundup.interop.hugging_face.tensors import Pair
from groundup.interop.hugging_face.weights import INDEX, SINGLE
from groundup.model.language_model import LanguageModel
from groundup.model.store import weights
from groundup.tokenizer.base import BaseTokenizer

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Types to store weights in."""
_MAX_SHARD_BYTES = 5_000_000_000  # as transformers cuts large models


def save_hugging_face(
    model: LanguageModel,
    tokenizer: BaseTokenizer,
    folder: Path,
    *,
    dtype: str = "bf16",
    max_shard_bytes: int = _MAX_SHARD_BYTES,
    reporter: Reporter,
) -> None:
    """Write config.json, generation_config.json, safetensors and the tokenizer's files, as transformers writes them.

    The family is the first that computes exactly what the model computes. A tied head is stored once; modules that
    predict further ahead are left out, with a warning. config.json is written last: without it nothing is a model.
    Raises UserError if no family is exact, a number does not fit `dtype`, or `folder` holds anything already.
    """
    family = family_for(model.config)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", "give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    if model.config.n_predict:
        reporter.warn(f"{family.model_type} is written without the {model.config.n_predict} modules that predict ahead")
    pairs = family.pairs(model.config, fused=False)
    shapes = shapes_of_theirs(pairs, shapes_of(model.config, model.vocab_size))
    own = exported(weights(model))
    with reporter.task(f"writing {folder.name}", sum(map(prod, shapes.values())), "weights") as task:
        _write_weights(folder, _tensors(pairs, own, TYPES[dtype]), _plan(pairs, shapes, dtype, max_shard_bytes), task)
    tokenizer.save(folder)
    write_json(folder / "generation_config.json", _generation_config(tokenizer))
    name = str(TYPES[dtype]).removeprefix("torch.")
    config = family.write(model.config, model.vocab_size) | {"dtype": name, "torch_dtype": name}
    write_json(folder / CONFIG, config | _token_ids(tokenizer))


def _plan(pairs: list[Pair], shapes: Mapping[str, tuple[int, ...]], dtype: str, max_bytes: int) -> list[list[str]]:
    """The tensors of each file, in order; a file holds no more than `max_bytes` unless one tensor alone does."""
    shards: list[list[str]] = [[]]
    filled = 0
    for pair in pairs:
        item = 4 if pair.in_fp32 else TYPES[dtype].itemsize
        for name in pair.theirs:
            size = prod(shapes[name]) * item
            if shards[-1] and filled + size > max_bytes:
                shards.append([])
                filled = 0
            shards[-1].append(name)
            filled += size
    return shards


def rounded_copy(model: LanguageModel, dtype: str) -> LanguageModel:
    """The model with its weights as a folder stores them, and as they are read back."""
    copied = copy.deepcopy(model)
    own = exported(weights(copied))
    for pair in family_for(model.config).pairs(model.config, fused=False):
        stored = [tensor.float() for _, tensor in _stored(pair, own, TYPES[dtype])]
        for name, tensor in zip(pair.ours, pair.operation.to_ours(stored), strict=True):
            own[name].copy_(tensor)
    return copied


def _tensors(pairs: list[Pair], own: dict[str, Tensor], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Theirs by name, each a copy of its own."""
    used = set()
    for pair in pairs:
        used.update(pair.ours)
        for name, tensor in _stored(pair, own, dtype):
            if not tensor.isfinite().all():
                raise UserError(f"{name} holds numbers that {dtype} does not", "store the weights as bf16 or fp32")
            yield name, tensor
    assert used == own.keys(), used ^ own.keys()


def _stored(pair: Pair, own: Mapping[str, Tensor], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    made = pair.operation.to_theirs([own[name].float().cpu() for name in pair.ours])
    for name, tensor in zip(pair.theirs, made, strict=True):
        yield name, torch.empty(tensor.shape, dtype=torch.float32 if pair.in_fp32 else dtype).copy_(tensor)


def _write_weights(
    folder: Path, tensors: Iterator[tuple[str, Tensor]], shards: list[list[str]], task: ProgressTask
) -> None:
    placed: dict[str, str] = {}
    total = 0
    for number, names in enumerate(shards, 1):
        file = SINGLE if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        held = {}
        for name, tensor in tensors:
            held[name] = tensor
            placed[name] = file
            total += tensor.nbytes
            task.advance(tensor.numel())
            if name == names[-1]:
                break
        assert list(held) == names
        try:
            save_file(held, folder / file, metadata={"format": "pt"})
        except SafetensorError as error:
            raise os_error_in(error) or error from error
    assert next(tensors, None) is None
    if len(shards) > 1:
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": placed})


def _token_ids(tokenizer: BaseTokenizer) -> dict[str, int | None]:
    return {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
    }


def _generation_config(tokenizer: BaseTokenizer) -> dict[str, Any]:
    """Ends of texts and turns: the tokenizer's own first, since some programs read only one."""
    ends = sorted(tokenizer.end_ids, key=lambda token: (token != tokenizer.eos_id, token))
    found = _token_ids(tokenizer) | {"eos_token_id": ends if len(ends) > 1 else next(iter(ends), None)}
    return {name: value for name, value in found.items() if value is not None}
