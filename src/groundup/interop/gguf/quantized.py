"""Numbers of a GGUF file: from their stored form to fp32 and back."""

import copy
import mmap
from typing import Literal, get_args

import numpy as np
import torch
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from torch import Tensor

from groundup.core.errors import UserError
from groundup.interop.gguf.architectures import choose_architecture
from groundup.interop.gguf.header import StoredTensor
from groundup.interop.gguf.links import from_file, links_of, to_file
from groundup.model.language_model import LanguageModel
from groundup.model.store import load_weights, weights

Kind = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]
KINDS: tuple[str, ...] = get_args(Kind)

FILE_TYPES = {
    "f32": LlamaFileType.ALL_F32,
    "f16": LlamaFileType.MOSTLY_F16,
    "bf16": LlamaFileType.MOSTLY_BF16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q4_0": LlamaFileType.MOSTLY_Q4_0,
}
"""What `general.file_type` says of each kind of file."""

_TABLES = ("token_embd.weight", "output.weight")
_ALWAYS_F32 = ("position_embd.weight", "ffn_gate_inp.weight")
_LARGEST_F16 = float(np.finfo(np.float16).max)


def readable(type_: GGMLQuantizationType) -> bool:
    """Whether the library turns numbers of this type into fp32."""
    try:
        quants.dequantize(np.zeros((1, GGML_QUANT_SIZES[type_][1]), np.uint8), type_)
    except NotImplementedError:
        return False
    return True


def stored_type(name: str, shape: tuple[int, ...], kind: Kind) -> GGMLQuantizationType:
    """How a tensor is stored in a file of a kind.

    As llama.cpp's converter does it: vectors, the router and learned positions in F32; embeddings and output of a
    q4_0 file in Q8_0, since they are looked up and not averaged over; a matrix whose rows are no whole number of
    blocks in F16.
    """
    if len(shape) == 1 or name.endswith(_ALWAYS_F32):
        return GGMLQuantizationType.F32
    type_ = GGMLQuantizationType["Q8_0" if kind == "q4_0" and name in _TABLES else kind.upper()]
    return GGMLQuantizationType.F16 if shape[-1] % GGML_QUANT_SIZES[type_][0] else type_


def stored_bytes(shape: tuple[int, ...], type_: GGMLQuantizationType) -> int:
    """Size of a tensor in the file."""
    block, size = GGML_QUANT_SIZES[type_]
    return int(np.prod(shape)) // block * size


def encode(name: str, tensor: Tensor, type_: GGMLQuantizationType) -> np.ndarray:
    """The numbers as they lie in the file. Raises UserError for what F16 cannot hold."""
    tensor = tensor.detach().float().cpu().contiguous()
    if type_ == GGMLQuantizationType.BF16:
        return tensor.bfloat16().view(torch.int16).numpy()
    if type_ != GGMLQuantizationType.F32 and not bool((tensor.abs() <= _LARGEST_F16).all()):
        raise UserError(
            f"{name} has numbers beyond ±{_LARGEST_F16:.0f}, or none at all, which {type_.name} cannot hold",
            "export it as bf16 or f32",
        )
    return quants.quantize(tensor.numpy(), type_)


def decode(data: np.ndarray, shape: tuple[int, ...], type_: GGMLQuantizationType) -> Tensor:
    """The inverse of `encode`: fp32."""
    if type_ == GGMLQuantizationType.BF16:
        return torch.from_numpy(data.view(np.int16)).view(torch.bfloat16).float().view(shape)
    rows = data.reshape(-1).view(np.uint8).reshape(*shape[:-1], -1)
    return torch.from_numpy(np.ascontiguousarray(quants.dequantize(rows, type_))).view(shape)


def read_tensor(data: mmap.mmap, stored: StoredTensor) -> Tensor:
    """A tensor of a file, fp32, in memory of its own."""
    raw = np.frombuffer(data[stored.offset : stored.offset + stored.n_bytes], np.uint8).copy()
    return decode(raw, stored.shape, stored.type)


@torch.no_grad()
def quantized_copy(model: LanguageModel, kind: Kind) -> LanguageModel:
    """The model with its weights rounded as `save_gguf` of that kind rounds them, in fp32.

    What such a file computes, and so what to compare it with. Raises UserError as `save_gguf` does.
    """
    architecture = choose_architecture(model.config)
    rounded = copy.deepcopy(model).float()
    own = weights(rounded)
    links = links_of(own, model.config, architecture)
    stored = {}
    for name, tensor in to_file(links, own):
        type_ = stored_type(name, tuple(tensor.shape), kind)
        stored[name] = decode(encode(name, tensor, type_), tuple(tensor.shape), type_)
    load_weights(rounded, own | dict(from_file(links, stored.__getitem__)))
    return rounded
