"""Mixtures of experts in a Llama: Mixtral, and Qwen 3's."""

from typing import Any

from groundup.interop.hugging_face.keys import Keys
from groundup.interop.hugging_face.llama import Llama, Mistral, Qwen3
from groundup.interop.hugging_face.tensors import FUSED, STACKED, Pair, same
from groundup.model.config import ModelConfig
from groundup.model.parts import MoeConfig


class Mixtral(Mistral):
    """Mistral with experts in place of every feed-forward."""

    model_type = "mixtral"
    architecture = "MixtralForCausalLM"
    requires = ("moe",)
    excludes = ("latent",)
    default_eps = 1e-5
    default_theta = 1_000_000.0
    default_window = None

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        moe = MoeConfig(
            n_experts=keys.integer("num_local_experts", 8, least=2),
            top_k=keys.integer("num_experts_per_tok", 2),
            balance_weight=keys.any_number("router_aux_loss_coef", 0.001),
        )
        return {**super()._more_fields(keys), "moe": moe}

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        moe = config.moe
        assert moe
        return {
            **super()._more_keys(config),
            "intermediate_size": moe.d_expert or config.ff_width,
            "num_local_experts": moe.n_experts,
            "num_experts_per_tok": moe.top_k,
            "router_aux_loss_coef": moe.balance_weight if moe.balance == "loss" else 0.0,
        }

    def _experts(self, config: ModelConfig, ours: str, theirs: str, *, fused: bool) -> list[Pair]:
        assert config.moe
        inside = f"{theirs}.mlp" if fused else f"{theirs}.block_sparse_moe"
        names = {"gate": "w1", "up": "w3", "down": "w2"}
        return [
            same(f"{ours}.router.weight", f"{inside}.gate.weight"),
            *expert_pairs(config.moe.n_experts, f"{ours}.experts", f"{inside}.experts", names, fused=fused),
        ]


class Qwen3Moe(Qwen3):
    """Qwen 3 with many small experts."""

    model_type = "qwen3_moe"
    architecture = "Qwen3MoeForCausalLM"
    requires = ("moe",)
    excludes = ("latent",)
    default_kv_heads = 4

    def _head_dim(self, keys: Keys, d_model: int, n_heads: int) -> int:
        return Llama._head_dim(self, keys, d_model, n_heads)

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        keys.only("decoder_sparse_step", 1)
        dense = keys.raw("mlp_only_layers", [])
        if not isinstance(dense, list) or sorted(dense) != list(range(len(dense))):
            keys.problems.append(f"mlp_only_layers = {dense!r} is not supported (only the first layers)")
            dense = []
        n_experts = keys.integer("num_local_experts", keys.integer("num_experts", 128, least=2), least=2)
        moe = MoeConfig(
            n_experts=n_experts,
            top_k=keys.integer("num_experts_per_tok", 8),
            d_expert=keys.integer("moe_intermediate_size", 768),
            dense_layers=len(dense),
            normalize_top_k=keys.flag("norm_topk_prob", False),
            balance_weight=keys.any_number("router_aux_loss_coef", 0.001),
        )
        return {**super()._more_fields(keys), "moe": moe}

    def _windows(self, keys: Keys) -> dict[str, Any]:
        keys.ignore("max_window_layers")  # of Qwen 3 without experts; transformers does not read it here
        window = keys.window("sliding_window", 4096)
        return {"window": window} if keys.flag("use_sliding_window", False) else {}

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        moe = config.moe
        assert moe
        return {
            "attention_bias": config.attention_bias,
            "use_sliding_window": config.window is not None,
            "sliding_window": config.window,
            "num_experts": moe.n_experts,
            "num_experts_per_tok": moe.top_k,
            "moe_intermediate_size": moe.d_expert or config.ff_width,
            "mlp_only_layers": list(range(moe.dense_layers)),
            "decoder_sparse_step": 1,
            "norm_topk_prob": moe.normalize_top_k,
            "router_aux_loss_coef": moe.balance_weight if moe.balance == "loss" else 0.0,
        }

    def _experts(self, config: ModelConfig, ours: str, theirs: str, *, fused: bool) -> list[Pair]:
        assert config.moe
        return [
            same(f"{ours}.router.weight", f"{theirs}.mlp.gate.weight"),
            *expert_pairs(config.moe.n_experts, f"{ours}.experts", f"{theirs}.mlp.experts", fused=fused),
        ]


def expert_pairs(
    n_experts: int, ours: str, theirs: str, names: dict[str, str] | None = None, *, fused: bool
) -> list[Pair]:
    """The matrices of all experts: one tensor for each, or `fused` as transformers 5 keeps them in memory."""
    if fused:
        return [
            Pair((f"{ours}.gate", f"{ours}.up"), (f"{theirs}.gate_up_proj",), FUSED),
            same(f"{ours}.down", f"{theirs}.down_proj"),
        ]
    names = names or {part: f"{part}_proj" for part in ("gate", "up", "down")}
    return [
        Pair((f"{ours}.{part}",), tuple(f"{theirs}.{e}.{name}.weight" for e in range(n_experts)), STACKED)
        for part, name in names.items()
    ]
