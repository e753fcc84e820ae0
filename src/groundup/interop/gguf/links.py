"""Which tensors of a file are which weights of a model, and what is done to them on the way.

Names are those of gguf's own table (gguf.constants.TENSOR_NAMES). Shapes: V vocabulary, D width of the model, H heads,
K elements of a head, N of them without a position, C size of the latent vector, E experts, F hidden width.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from gguf.constants import MODEL_TENSOR, TENSOR_NAMES
from torch import Tensor

from groundup.interop.gguf.architecture import Architecture
from groundup.model.config import ModelConfig

_MODEL = {
    "embedding": MODEL_TENSOR.TOKEN_EMBD,
    "position": MODEL_TENSOR.POS_EMBD,
    "norm": MODEL_TENSOR.OUTPUT_NORM,
    "head": MODEL_TENSOR.OUTPUT,
}
_BLOCK = {
    "attention_norm": MODEL_TENSOR.ATTN_NORM,
    "feedforward_norm": MODEL_TENSOR.FFN_NORM,
    "attention_output_norm": MODEL_TENSOR.ATTN_POST_NORM,
    "feedforward_output_norm": MODEL_TENSOR.FFN_POST_NORM,
    "attention.q": MODEL_TENSOR.ATTN_Q,
    "attention.k": MODEL_TENSOR.ATTN_K,
    "attention.v": MODEL_TENSOR.ATTN_V,
    "attention.o": MODEL_TENSOR.ATTN_OUT,
    "attention.q_norm": MODEL_TENSOR.ATTN_Q_NORM,
    "attention.k_norm": MODEL_TENSOR.ATTN_K_NORM,
    "feedforward.gate": MODEL_TENSOR.FFN_GATE,
    "feedforward.up": MODEL_TENSOR.FFN_UP,
    "feedforward.down": MODEL_TENSOR.FFN_DOWN,
    "feedforward.router": MODEL_TENSOR.FFN_GATE_INP,
    "feedforward.experts.gate": MODEL_TENSOR.FFN_GATE_EXP,
    "feedforward.experts.up": MODEL_TENSOR.FFN_UP_EXP,
    "feedforward.experts.down": MODEL_TENSOR.FFN_DOWN_EXP,
    "feedforward.shared.gate": MODEL_TENSOR.FFN_GATE_SHEXP,
    "feedforward.shared.up": MODEL_TENSOR.FFN_UP_SHEXP,
    "feedforward.shared.down": MODEL_TENSOR.FFN_DOWN_SHEXP,
}
_LATENT = _BLOCK | {
    "attention.q_down": MODEL_TENSOR.ATTN_Q_A,
    "attention.q_norm": MODEL_TENSOR.ATTN_Q_A_NORM,
    "attention.q_up": MODEL_TENSOR.ATTN_Q_B,
    "attention.kv_down": MODEL_TENSOR.ATTN_KV_A_MQA,
    "attention.kv_norm": MODEL_TENSOR.ATTN_KV_A_NORM,
}

_Operation = Callable[[list[Tensor]], list[Tensor]]


def _unchanged(tensors: list[Tensor]) -> list[Tensor]:
    return tensors


@dataclass(frozen=True)
class Link:
    """Some weights of the model and the tensors of the file that hold them."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    export: _Operation = _unchanged
    """From the weights to the tensors."""
    take: _Operation = _unchanged
    """And back."""


def links_of(names: Iterable[str], config: ModelConfig, architecture: Architecture) -> list[Link]:
    """A link for each weight of `names` that takes part in logits and that the format has a place for.

    What takes no part: modules that predict further ahead, and what a router remembers of its balance.
    """
    links = []
    for name in names:
        if "experts" in name and not name.endswith((".weight", ".bias")):
            module, suffix = name, "weight"
        else:
            module, _, suffix = name.rpartition(".")
        if module in _MODEL:
            links.append(Link((name,), (f"{TENSOR_NAMES[_MODEL[module]]}.{suffix}",)))
        elif found := re.fullmatch(r"blocks\.(\d+)\.(.+)", module):
            links.extend(_block_link(name, int(found[1]), found[2], suffix, config, architecture))
    return links


def _block_link(
    name: str, block: int, part: str, suffix: str, config: ModelConfig, architecture: Architecture
) -> Iterator[Link]:
    def stored(tensor: MODEL_TENSOR, ending: str = suffix) -> str:
        return f"{TENSOR_NAMES[tensor].format(bid=block)}.{ending}"

    table = _LATENT if config.latent else _BLOCK
    if part == "feedforward.router" and suffix == "bias":
        yield Link((name,), (stored(MODEL_TENSOR.FFN_EXP_PROBS_B),))
    elif part == "attention.kv_up":
        yield _latent_link(name, (stored(MODEL_TENSOR.ATTN_K_B), stored(MODEL_TENSOR.ATTN_V_B)), config)
    elif architecture.joins_qkv and not config.latent and part in ("attention.q", "attention.k", "attention.v"):
        if part == "attention.q":
            ours = tuple(name.replace(".q.", f".{letter}.") for letter in "qkv")
            yield _joined_link(ours, stored(MODEL_TENSOR.ATTN_QKV), config)
    elif part in ("attention.q", "attention.k", "attention.q_norm", "attention.k_norm") and not config.latent:
        yield _paired_link(name, stored(table[part]), config, architecture)
    elif part in table and suffix != "load":
        yield Link((name,), (stored(table[part]),))


def _paired_link(name: str, stored: str, config: ModelConfig, architecture: Architecture) -> Link:
    """Rows of queries and keys lie in the order in which the architecture pairs them for rotation."""
    if (
        config.position != "rope"
        or config.rotary_size != config.head_size
        or config.rope_pairing == architecture.pairing
    ):
        return Link((name,), (stored,))
    size = config.head_size
    if architecture.pairing == "interleaved":
        return Link((name,), (stored,), lambda t: [interleaved(t[0], size)], lambda t: [halved(t[0], size)])
    return Link((name,), (stored,), lambda t: [halved(t[0], size)], lambda t: [interleaved(t[0], size)])


def _joined_link(ours: tuple[str, ...], stored: str, config: ModelConfig) -> Link:
    """Queries, keys and values as one matrix."""
    rows = [heads * config.head_size for heads in (config.n_heads, config.kv_heads, config.kv_heads)]
    return Link(ours, (stored,), lambda t: [torch.cat(t)], lambda t: list(t[0].split(rows)))


def _latent_link(name: str, stored: tuple[str, str], config: ModelConfig) -> Link:
    """What makes keys, [H, C, N] (transposed, for queries are multiplied with it), and values, [H, V, C]."""
    assert config.latent
    sizes, heads = config.latent, config.n_heads
    parts = (sizes.nope_head_dim, sizes.v_head_dim)

    def export(tensors: list[Tensor]) -> list[Tensor]:
        keys_HNC, values_HVC = tensors[0].unflatten(0, (heads, sum(parts))).split(parts, 1)
        return [keys_HNC.transpose(1, 2), values_HVC]

    def take(tensors: list[Tensor]) -> list[Tensor]:
        return [torch.cat((tensors[0].transpose(1, 2), tensors[1]), 1).flatten(0, 1)]

    return Link((name,), stored, export, take)


def interleaved(rows: Tensor, head_size: int) -> Tensor:
    """Rows of heads with pairs (i, i + K/2) in the order that pairs (2i, 2i + 1)."""
    return rows.unflatten(0, (-1, 2, head_size // 2)).transpose(1, 2).flatten(0, 2)


def halved(rows: Tensor, head_size: int) -> Tensor:
    """The inverse of `interleaved`."""
    return rows.unflatten(0, (-1, head_size // 2, 2)).transpose(1, 2).flatten(0, 2)


def to_file(links: Iterable[Link], own: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of the file, made of a model's weights (or of their shapes, on the meta device)."""
    for link in links:
        yield from zip(link.theirs, link.export([own[name] for name in link.ours]), strict=True)


def from_file(links: Iterable[Link], read: Callable[[str], Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Names and weights of a model, made of what `read` gives for names of the file."""
    for link in links:
        yield from zip(link.ours, link.take([read(name) for name in link.theirs]), strict=True)
