"""Llama, and the families that differ from it in a few lines: Mistral, Qwen 2, Qwen 3; SmolLM 1 and 2 are Llamas."""

from typing import Any, ClassVar

from groundup.interop.hugging_face.family import GATED_ACTIVATIONS, Family, named
from groundup.interop.hugging_face.keys import Keys
from groundup.interop.hugging_face.rope import read_rope, write_rope
from groundup.interop.hugging_face.tensors import SAME, Operation, Pair, linear, same
from groundup.interop.hugging_face.windows import layer_types, read_windows
from groundup.model.config import ModelConfig


class Llama(Family):
    """RMSNorm before each sublayer, rotary positions, grouped queries, a gated feed-forward.

    What the families that follow have of their own is in the attributes and in the methods with an underscore.
    """

    model_type = "llama"
    architecture = "LlamaForCausalLM"
    qk_norm: ClassVar[bool] = False
    tied: ClassVar[bool] = False
    """Whether the head is the embedding, if config.json does not say."""
    default_eps: ClassVar[float] = 1e-6
    default_theta: ClassVar[float] = 10_000.0
    default_kv_heads: ClassVar[int | None] = None
    """None: as many as query heads."""
    activation_key: ClassVar[str] = "hidden_act"
    default_activation: ClassVar[str] = "silu"
    even_heads: ClassVar[bool] = True
    """transformers asks for a hidden_size that is a multiple of the heads even where head_dim is given."""
    norm_operation: ClassVar[Operation] = SAME
    norms: ClassVar[dict[str, str]] = {
        "attention_norm": "input_layernorm",
        "feedforward_norm": "post_attention_layernorm",
    }
    """Norms of a block, ours and theirs."""

    def fields(self, keys: Keys) -> dict[str, Any]:
        """Keys of this family."""
        d_model, n_heads = keys.integer("hidden_size"), keys.integer("num_attention_heads")
        max_seq_len = keys.integer("max_position_embeddings", least=2)
        return {
            "n_layers": keys.integer("num_hidden_layers"),
            "d_model": d_model,
            "n_heads": n_heads,
            "n_kv_heads": keys.integer("num_key_value_heads", self.default_kv_heads or n_heads, null=n_heads),
            "head_dim": self._head_dim(keys, d_model, n_heads),
            "d_ff": keys.integer("intermediate_size"),
            "max_seq_len": max_seq_len,
            "qk_norm": self.qk_norm,
            "feedforward": keys.choice(self.activation_key, GATED_ACTIVATIONS, self.default_activation),
            "norm_eps": keys.number("rms_norm_eps", self.default_eps),
            "tie_embeddings": keys.flag("tie_word_embeddings", self.tied),
            **self._rope(keys, max_seq_len),
            **self._more_fields(keys),
        }

    def keys(self, config: ModelConfig) -> dict[str, Any]:
        """Keys of this family."""
        return {
            "hidden_size": config.d_model,
            "intermediate_size": config.ff_width,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.kv_heads,
            "head_dim": config.head_size,
            "max_position_embeddings": config.max_seq_len,
            self.activation_key: named(GATED_ACTIVATIONS, config.feedforward),
            "rms_norm_eps": config.norm_eps,
            "attention_dropout": 0.0,
            **self._rope_keys(config),
            **self._more_keys(config),
        }

    def pairs(self, config: ModelConfig, *, fused: bool) -> list[Pair]:
        """One to one, but for experts."""
        found = [same("embedding.weight", "model.embed_tokens.weight"), self._norm("norm", "model.norm")]
        if not config.tie_embeddings:
            found.append(same("head.weight", "lm_head.weight"))
        for layer in range(config.n_layers):
            ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
            found += [self._norm(f"{ours}.{one}", f"{theirs}.{other}") for one, other in self.norms.items()]
            found += self._attention(config, f"{ours}.attention", f"{theirs}.self_attn")
            if config.has_experts(layer):
                found += self._experts(config, f"{ours}.feedforward", theirs, fused=fused)
            else:
                found += gated(f"{ours}.feedforward", f"{theirs}.mlp", bias=config.feedforward_bias)
        return found

    def _head_dim(self, keys: Keys, d_model: int, n_heads: int) -> int:
        if d_model % n_heads and (self.even_heads or not keys.has("head_dim")):
            keys.problems.append(f"hidden_size {d_model} is not a multiple of num_attention_heads {n_heads}")
        return keys.integer("head_dim", max(d_model // n_heads, 1))

    def _rope(self, keys: Keys, max_seq_len: int) -> dict[str, Any]:
        rope = read_rope(keys, max_seq_len, self.default_theta)
        return {"rope_theta": rope.theta, "rope_scaling": rope.scaling}

    def _rope_keys(self, config: ModelConfig) -> dict[str, Any]:
        return write_rope(config.rope_theta, config.rope_scaling, config.rotary_size)

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        keys.only("rope_interleaved", False)
        attention = keys.flag("attention_bias", False)
        return {
            "attention_bias": attention,
            "attention_output_bias": attention,
            "feedforward_bias": keys.flag("mlp_bias", False),
        }

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        return {"attention_bias": config.attention_bias, "mlp_bias": config.feedforward_bias}

    def _norm(self, ours: str, theirs: str) -> Pair:
        return Pair((f"{ours}.weight",), (f"{theirs}.weight",), self.norm_operation)

    def _attention(self, config: ModelConfig, ours: str, theirs: str) -> list[Pair]:
        found = linear(f"{ours}.o", f"{theirs}.o_proj", bias=config.attention_output_bias)
        for part in "qkv":
            found += linear(f"{ours}.{part}", f"{theirs}.{part}_proj", bias=config.attention_bias)
        if self.qk_norm:
            found += [self._norm(f"{ours}.{part}_norm", f"{theirs}.{part}_norm") for part in "qk"]
        return found

    def _experts(self, config: ModelConfig, ours: str, theirs: str, *, fused: bool) -> list[Pair]:
        raise AssertionError(f"{self.model_type} has no experts")


class Mistral(Llama):
    """Llama with a window in every layer, and without biases."""

    model_type = "mistral"
    architecture = "MistralForCausalLM"
    default_kv_heads = 8
    default_window: ClassVar[int | None] = 4096
    even_heads = False

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        return {"window": keys.window("sliding_window", self.default_window), "window_pattern": "L"}

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        return {"sliding_window": config.window}


class Qwen2(Llama):
    """Llama with biases of queries, keys and values, and a window in some layers."""

    model_type = "qwen2"
    architecture = "Qwen2ForCausalLM"
    default_kv_heads = 32
    even_heads = False

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        keys.only("use_mrope", False)
        return {"attention_bias": True, **self._windows(keys)}

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        kinds = layer_types(config)
        local = "sliding_attention" in kinds
        return {
            "use_sliding_window": local,
            "sliding_window": config.window if local else None,
            "max_window_layers": kinds.index("sliding_attention") if local else config.n_layers,
            "layer_types": kinds,
        }

    def _windows(self, keys: Keys) -> dict[str, Any]:
        window = keys.window("sliding_window", 4096)
        if not keys.flag("use_sliding_window", False):
            window = None
        n_layers, first = keys.integer("num_hidden_layers"), keys.integer("max_window_layers", 28, least=0)
        far = n_layers if window is None else min(first, n_layers)
        return read_windows(keys, ["full_attention"] * far + ["sliding_attention"] * (n_layers - far), window)


class Qwen3(Qwen2):
    """Qwen 2 with norms of queries and keys in place of biases."""

    model_type = "qwen3"
    architecture = "Qwen3ForCausalLM"
    qk_norm = True

    def _head_dim(self, keys: Keys, d_model: int, n_heads: int) -> int:
        return keys.integer("head_dim")

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        attention = keys.flag("attention_bias", False)
        return {"attention_bias": attention, "attention_output_bias": attention, **self._windows(keys)}

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        return {"attention_bias": config.attention_bias, **super()._more_keys(config)}


def gated(ours: str, theirs: str, *, bias: bool = False) -> list[Pair]:
    """A gated feed-forward."""
    parts = ("gate", "up", "down")
    return [pair for part in parts for pair in linear(f"{ours}.{part}", f"{theirs}.{part}_proj", bias=bias)]
