"""A model to a GGUF file."""

import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_VERSION, GGMLQuantizationType, GGUFValueType, TokenType
from torch import Tensor

from groundup.core.errors import UserError
from groundup.core.files import sync_folder
from groundup.core.progress import Reporter
from groundup.interop.gguf.architecture import Architecture
from groundup.interop.gguf.architectures import choose_architecture
from groundup.interop.gguf.links import links_of, to_file
from groundup.interop.gguf.quantized import FILE_TYPES, KINDS, Kind, encode, stored_bytes, stored_type
from groundup.interop.gguf.rope import FACTORS, frequency_factors
from groundup.model.language_model import LanguageModel
from groundup.model.store import weights
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.gguf import metadata_of

_TOKENS, _TYPES, _SCORES = (f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "scores"))
_UNUSED_SCORE = -1000.0
Plan = dict[str, tuple[tuple[int, ...], GGMLQuantizationType]]
"""Shape and type of each tensor, in the order of the file."""

_TRAINING_ONLY = ("predictors.", "router.load")


def save_gguf(
    model: LanguageModel, tokenizer: BaseTokenizer, path: Path, kind: Kind, *, reporter: Reporter, name: str = ""
) -> None:
    """Write model, tokenizer and chat template; the file appears under `path` when it is whole.

    Raises UserError for a model that no architecture of llama.cpp computes exactly, with what stands in the way, and
    for a vocabulary that does not fit the embeddings. What is stored how: see `stored_type`.
    """
    if kind not in KINDS:
        raise UserError(f"there is no GGUF kind '{kind}'", f"choose one of {', '.join(KINDS)}")
    architecture = choose_architecture(model.config)
    metadata = _metadata(model, tokenizer, kind, name, architecture)
    own = weights(model)
    links = links_of(own, model.config, architecture)
    left = own.keys() - {ours for link in links for ours in link.ours}
    assert all(any(mark in ours for mark in _TRAINING_ONLY) for ours in left), left
    if any(ours.startswith("predictors.") for ours in left):
        reporter.warn("modules that predict tokens further ahead are left out: llama.cpp makes no use of them")
    plan = _plan(to_file(links, {ours: tensor.to("meta") for ours, tensor in own.items()}), kind)
    tensors = to_file(links, own)
    if architecture.has_factors and (factors := frequency_factors(model.config)) is not None:
        plan |= _plan([(FACTORS, factors)], kind)
        tensors = chain(tensors, [(FACTORS, factors)])
    partial = path.with_name(f".{path.name}.partial")
    try:
        _write(partial, architecture.name, metadata, plan, tensors, reporter)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _metadata(
    model: LanguageModel, tokenizer: BaseTokenizer, kind: Kind, name: str, architecture: Architecture
) -> Mapping[str, Any]:
    general = {
        "general.type": "model",
        "general.name": name or "model",
        "general.file_type": int(FILE_TYPES[kind]),
        "general.quantization_version": GGML_QUANT_VERSION,
    }
    vocabulary = {f"{architecture.name}.vocab_size": model.vocab_size}
    tokens = _with_unused(metadata_of(tokenizer), model.vocab_size)
    return general | architecture.metadata(model.config) | vocabulary | tokens


def _with_unused(metadata: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """llama.cpp wants a token for each row of the embedding: rows that pad it out become unused tokens."""
    tokens, types = list(metadata[_TOKENS]), list(metadata[_TYPES])
    if len(tokens) > rows:
        raise UserError(
            f"the tokenizer has {len(tokens)} tokens, the model embeddings for {rows}", "use the model's own tokenizer"
        )
    lacking = range(len(tokens), rows)
    filled = {**metadata, _TOKENS: tokens + [f"[PAD{i}]" for i in lacking]}
    filled[_TYPES] = types + [int(TokenType.UNUSED)] * len(lacking)
    if _SCORES in metadata:
        filled[_SCORES] = [*metadata[_SCORES], *([_UNUSED_SCORE] * len(lacking))]
    return filled


def _plan(tensors: Iterable[tuple[str, Tensor]], kind: Kind) -> Plan:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors}
    return {name: (shape, stored_type(name, shape, kind)) for name, shape in shapes.items()}


def _write(
    path: Path,
    architecture: str,
    metadata: Mapping[str, Any],
    plan: Plan,
    tensors: Iterable[tuple[str, Tensor]],
    reporter: Reporter,
) -> None:
    """Header first, then tensor after tensor, so that memory holds one of them beside the model."""
    writer = GGUFWriter(None, architecture)
    try:
        for key, value in metadata.items():
            if value == []:
                continue  # which the format has no type for
            writer.add_key_value(key, value, _type_of(value))
        for name, (shape, type_) in plan.items():
            writer.add_tensor_info(name, shape, np.dtype(np.float32), stored_bytes(shape, type_), raw_dtype=type_)
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        total = sum(stored_bytes(*stored) for stored in plan.values())
        with reporter.task(f"writing {path.name}", total, "B") as task:
            for name, tensor in tensors:
                data = encode(name, tensor, plan[name][1])
                writer.write_tensor_data(data)
                task.advance(data.nbytes)
        for file in writer.fout or ():
            file.flush()
            os.fsync(file.fileno())
    finally:
        writer.close()


def _type_of(value: Any) -> GGUFValueType:
    """llama.cpp takes whole numbers as uint32 and others as fp32, and no other types for them."""
    return GGUFValueType.UINT32 if type(value) is int else GGUFValueType.get_type(value)
