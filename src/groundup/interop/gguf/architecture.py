"""What an architecture of llama.cpp is to us: metadata to a config and back.

Whether an architecture expresses a config needs no list of conditions: the config that is read from what would be
written must be the same.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Literal

from gguf.constants import Keys
from pydantic import ValidationError

from groundup.core.errors import UserError
from groundup.interop.gguf.rope import read_rope, write_rope
from groundup.interop.gguf.values import Values
from groundup.model.config import ModelConfig

# Keys that say nothing of what is computed, or that follow from shapes, which are checked.
_IGNORED = ("vocab_size", "rope.scaling.finetuned")

Written = dict[str, Any]
"""Metadata: values by key."""


@dataclass(frozen=True)
class Architecture:
    """One `general.architecture`."""

    name: str
    read: Callable[[Values, Set[str]], dict[str, Any]]
    """Fields of ModelConfig, besides those of `_read_shared`, from the metadata and the names of the tensors."""
    write: Callable[[ModelConfig], Written]
    """Metadata besides that of `_write_shared`; keys are gguf's, with {arch} left to be filled in."""
    pairing: Literal["half", "interleaved"] = "half"
    """Which elements of a head turn together, in weights of the file."""
    has_factors: bool = False
    """Whether Llama 3's rotary scaling is understood, as a tensor."""
    joins_qkv: bool = False
    """Whether queries, keys and values are one matrix."""
    eps: str = Keys.Attention.LAYERNORM_RMS_EPS
    """Key of what is added inside norms."""

    def config(self, values: Values, names: Set[str]) -> ModelConfig:
        """The config that metadata and names of tensors describe.

        Raises UserError for metadata that is missing, wrong, or not understood.
        """
        fields = self._read_shared(values, names) | self.read(values, names)
        if unknown := values.unread(_IGNORED):
            raise UserError(
                f"{values.source}: metadata that is not understood: {', '.join(unknown)}",
                "it may change what the model computes, so the file is not imported",
            )
        try:
            return ModelConfig(**fields)
        except ValidationError as error:
            reasons = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
            raise UserError(f"{values.source} describes an impossible model: {reasons}", "convert it anew") from None

    def metadata(self, config: ModelConfig) -> Written:
        """What a file says of the config."""
        written = self._write_shared(config) | self.write(config)
        return {key.format(arch=self.name): value for key, value in written.items()}

    def _read_shared(self, values: Values, names: Set[str]) -> dict[str, Any]:
        n_layers = values.integer(Keys.LLM.BLOCK_COUNT)
        if n_layers > len(names):
            raise values.refused(Keys.LLM.BLOCK_COUNT, f"{n_layers}, but there are {len(names)} tensors")
        return {
            "n_layers": n_layers,
            "d_model": values.integer(Keys.LLM.EMBEDDING_LENGTH),
            "n_heads": values.integer(Keys.Attention.HEAD_COUNT),
            "d_ff": values.integer(Keys.LLM.FEED_FORWARD_LENGTH),
            "max_seq_len": values.integer(Keys.LLM.CONTEXT_LENGTH),
            "norm_eps": values.real(self.eps),
            "tie_embeddings": "output.weight" not in names,
            "qk_norm": False,
            "zero_init_output": False,
            "init": "normal",
        }

    def _write_shared(self, config: ModelConfig) -> Written:
        return {
            Keys.LLM.BLOCK_COUNT: config.n_layers,
            Keys.LLM.CONTEXT_LENGTH: config.max_seq_len,
            Keys.LLM.EMBEDDING_LENGTH: config.d_model,
            Keys.LLM.FEED_FORWARD_LENGTH: config.ff_width,
            Keys.Attention.HEAD_COUNT: config.n_heads,
            self.eps: config.norm_eps,
        }


def read_attention(values: Values) -> dict[str, Any]:
    """Heads and rotary positions; queries, keys and values must be of one size, and all of it must turn."""
    d_model, n_heads = values.integer(Keys.LLM.EMBEDDING_LENGTH), values.integer(Keys.Attention.HEAD_COUNT)
    size = values.integer(Keys.Attention.KEY_LENGTH, d_model // max(n_heads, 1))
    for key in (Keys.Attention.VALUE_LENGTH, Keys.Rope.DIMENSION_COUNT):
        if (found := values.integer(key, size)) != size:
            raise values.refused(key, f"{found}, where a head has {size} elements")
    return {
        "n_kv_heads": values.integer(Keys.Attention.HEAD_COUNT_KV, n_heads),
        "head_dim": 0 if size * n_heads == d_model else size,
        **read_rope(values, size),
    }


def write_attention(config: ModelConfig) -> Written:
    """The inverse of `read_attention`."""
    return {
        Keys.Attention.HEAD_COUNT_KV: config.kv_heads,
        Keys.Attention.KEY_LENGTH: config.head_size,
        Keys.Attention.VALUE_LENGTH: config.head_size,
        Keys.Rope.DIMENSION_COUNT: config.rotary_size,
        **write_rope(config),
    }
