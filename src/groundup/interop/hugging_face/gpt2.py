"""GPT-2 (Radford et al. 2019), which GPT-3 follows but for its sparse layers."""

from typing import Any

from groundup.interop.hugging_face.family import PLAIN_ACTIVATIONS, Family, named
from groundup.interop.hugging_face.keys import Keys
from groundup.interop.hugging_face.tensors import TRANSPOSED, Pair, joined, same
from groundup.model.config import ModelConfig


class GPT2(Family):
    """LayerNorm, learned positions, biases everywhere, a feed-forward without a gate."""

    model_type = "gpt2"
    architecture = "GPT2LMHeadModel"
    prefix = "transformer."
    buffers = r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)"

    def fields(self, keys: Keys) -> dict[str, Any]:
        """Keys of this family."""
        keys.only("scale_attn_weights", True)
        keys.only("scale_attn_by_inverse_layer_idx", False)
        keys.ignore("n_ctx", "reorder_and_upcast_attn", "gradient_checkpointing")
        d_model = keys.integer("n_embd")
        return {
            "n_layers": keys.integer("n_layer"),
            "d_model": d_model,
            "n_heads": keys.integer("n_head"),
            "d_ff": keys.integer("n_inner", 4 * d_model),
            "max_seq_len": keys.integer("n_positions", least=2),
            "position": "learned",
            "qk_norm": False,
            "attention_bias": True,
            "attention_output_bias": True,
            "feedforward": keys.choice("activation_function", PLAIN_ACTIVATIONS, "gelu_new"),
            "feedforward_bias": True,
            "norm": "layernorm",
            "norm_eps": keys.number("layer_norm_epsilon", 1e-5),
            "tie_embeddings": keys.flag("tie_word_embeddings", True),
        }

    def keys(self, config: ModelConfig) -> dict[str, Any]:
        """Keys of this family."""
        return {
            "n_embd": config.d_model,
            "n_layer": config.n_layers,
            "n_head": config.n_heads,
            "n_inner": config.ff_width,
            "n_positions": config.max_seq_len,
            "n_ctx": config.max_seq_len,
            "activation_function": named(PLAIN_ACTIVATIONS, config.feedforward),
            "layer_norm_epsilon": config.norm_eps,
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
            "scale_attn_weights": True,
        }

    def pairs(self, config: ModelConfig, *, fused: bool) -> list[Pair]:
        """Matrices are transposed; queries, keys and values are one."""
        found = [
            same("embedding.weight", "transformer.wte.weight"),
            same("position.weight", "transformer.wpe.weight"),
            *_norm("norm", "transformer.ln_f"),
        ]
        if not config.tie_embeddings:
            found.append(same("head.weight", "lm_head.weight"))
        for layer in range(config.n_layers):
            ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
            found += [
                *_norm(f"{ours}.attention_norm", f"{theirs}.ln_1"),
                *_norm(f"{ours}.feedforward_norm", f"{theirs}.ln_2"),
                *_matrices([f"{ours}.attention.{part}" for part in "qkv"], f"{theirs}.attn.c_attn"),
                *_matrices([f"{ours}.attention.o"], f"{theirs}.attn.c_proj"),
                *_matrices([f"{ours}.feedforward.up"], f"{theirs}.mlp.c_fc"),
                *_matrices([f"{ours}.feedforward.down"], f"{theirs}.mlp.c_proj"),
            ]
        return found


def _norm(ours: str, theirs: str) -> list[Pair]:
    return [same(f"{ours}.{part}", f"{theirs}.{part}") for part in ("weight", "bias")]


def _matrices(ours: list[str], theirs: str) -> list[Pair]:
    """Linear layers of one size, theirs side by side in one."""
    weights, biases = (tuple(f"{name}.{part}" for name in ours) for part in ("weight", "bias"))
    return [
        Pair(weights, (f"{theirs}.weight",), joined(len(ours), transposed=True) if len(ours) > 1 else TRANSPOSED),
        Pair(biases, (f"{theirs}.bias",), joined(len(ours))),
    ]
