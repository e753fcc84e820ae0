"""A model from a GGUF file."""

import mmap
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.interop.gguf.architectures import architecture_named
from groundup.interop.gguf.header import Header, read_header
from groundup.interop.gguf.links import from_file, links_of, to_file
from groundup.interop.gguf.quantized import read_tensor, readable
from groundup.interop.gguf.rope import FACTORS
from groundup.interop.gguf.values import Values
from groundup.interop.loaded import Loaded
from groundup.model.build import build_model
from groundup.model.language_model import LanguageModel
from groundup.model.store import weights
from groundup.model.unfilled import unfilled_model
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.gguf import tokenizer_from_metadata

_EMBEDDING = "token_embd.weight"
_SHOWN = 10


def load_gguf(path: Path, reporter: Reporter) -> Loaded:
    """Read model and tokenizer. Weights become fp32; queries and keys get Hugging Face's order, but for deepseek2.

    Raises UserError for a file that is damaged, truncated or split, an architecture, quantization or metadata that is
    not supported, and tensors that are missing, left over or of another shape (all of them listed).
    """
    header = read_header(path)
    _check_kind(header)
    architecture = architecture_named(str(header.metadata.get("general.architecture")), str(path))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        factors = read_tensor(data, header.tensors[FACTORS]) if FACTORS in header.tensors else None
        values = Values(str(path), architecture.name, header.metadata, factors)
        config = architecture.config(values, header.tensors.keys())
        vocab_size = header.tensors[_EMBEDDING].shape[0] if _EMBEDDING in header.tensors else 1
        with torch.device("meta"):
            shapes = weights(build_model(config, vocab_size))
        links = links_of(shapes, config, architecture)
        expected = {name: tuple(tensor.shape) for name, tensor in to_file(links, shapes)}
        _check_tensors(header, expected, {FACTORS} if architecture.has_factors else set())
        tokenizer = _tokenizer(header)
        _check_vocabulary(header, vocab_size)
        model = unfilled_model(config, vocab_size)
        with reporter.task(f"reading {path.name}", sum(map(prod, expected.values())), "weights") as task:

            def read(name: str) -> Tensor:
                task.advance(prod(expected[name]))
                return read_tensor(data, header.tensors[name])

            _fill(model, from_file(links, read))
    return Loaded(model, tokenizer, architecture.name, _main_type(header, expected), str(path))


def _tokenizer(header: Header) -> BaseTokenizer:
    try:
        return tokenizer_from_metadata(header.metadata)
    except UserError as error:
        raise UserError(f"{header.path}: {error.message}", error.hint) from None
    except Exception as error:  # `tokenizers` raises bare Exception for every mistake
        raise UserError(f"{header.path} holds a damaged tokenizer: {error}", "convert it anew") from error


def _check_kind(header: Header) -> None:
    if (kind := header.metadata.get("general.type", "model")) != "model":
        raise UserError(f"{header.path} holds no model but '{kind}'", "give the file of the model itself")
    if (parts := header.metadata.get("split.count", 1)) != 1:
        raise UserError(
            f"{header.path} is one of {parts} files of a split model",
            "join them with `llama-gguf-split --merge FIRST JOINED.gguf`, and give that",
        )
    if unknown := sorted({t.type.name for t in header.tensors.values() if not readable(t.type)}):
        raise UserError(
            f"{header.path} holds numbers of type {', '.join(unknown)}, which cannot be read",
            "take a file with F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 or a K quantization",
        )


def _check_tensors(header: Header, expected: Mapping[str, tuple[int, ...]], optional: set[str]) -> None:
    """All that is missing, left over or of another shape, in one error."""
    found = header.tensors
    wrong = [
        f"{name} is {list(found[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name].shape != shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in found]
    extra = [f"{name} has no place" for name in found if name not in expected and name not in optional]
    if problems := missing + extra + wrong:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise UserError(
            f"{header.path} does not fit its own metadata: {'; '.join(problems[:_SHOWN])}{more}", "convert it anew"
        )


def _check_vocabulary(header: Header, rows: int) -> None:
    tokens = header.metadata.get("tokenizer.ggml.tokens", ())
    if len(tokens) > rows:
        raise UserError(
            f"{header.path} has a vocabulary of {len(tokens)} tokens but embeddings for {rows}", "convert it anew"
        )


def _fill(model: LanguageModel, read: Iterable[tuple[str, Tensor]]) -> None:
    """Tensor by tensor, so that memory holds the model and little more."""
    own = weights(model)
    for name, tensor in read:
        own.pop(name).copy_(tensor)
    assert not own, own.keys()


def _main_type(header: Header, expected: Iterable[str]) -> str:
    sizes: Counter[str] = Counter()
    for name in expected:
        sizes[header.tensors[name].type.name] += prod(header.tensors[name].shape)
    return sizes.most_common(1)[0][0]
