"""DeepSeek-V3 and DeepSeek-V2: latent attention and many small experts."""

import math
from typing import Any, ClassVar

from groundup.interop.hugging_face.experts import expert_pairs
from groundup.interop.hugging_face.keys import Keys
from groundup.interop.hugging_face.llama import Llama, gated
from groundup.interop.hugging_face.rope import read_rope, write_rope
from groundup.interop.hugging_face.tensors import SAME, Pair, same, zeros
from groundup.model.config import ModelConfig
from groundup.model.parts import LatentConfig, MoeConfig

# Norms of latent vectors have this eps in transformers, whatever config.json says; ours have that of all norms.
_EPS = 1e-6


class DeepseekV3(Llama):
    """A sigmoid router with a bias for balance, experts chosen from groups."""

    model_type = "deepseek_v3"
    architecture = "DeepseekV3ForCausalLM"
    requires = ("latent",)
    excludes = ()
    even_heads = False
    scoring: ClassVar[str] = "sigmoid"
    n_dense: ClassVar[int] = 3

    def ignored(self, config: dict[str, Any]) -> list[str]:
        """Modules that predict further ahead are stored behind the last layer, and left out."""
        n_layers, ahead = config["num_hidden_layers"], config.get("num_nextn_predict_layers") or 0
        layers = "|".join(str(layer) for layer in range(n_layers, n_layers + ahead))
        return [*super().ignored(config), *([rf"(model\.)?layers\.({layers})\..*"] if layers else [])]

    def _head_dim(self, keys: Keys, d_model: int, n_heads: int) -> int:
        keys.ignore("head_dim", "qk_head_dim")  # which transformers works out
        if self.even_heads and d_model % n_heads:
            keys.problems.append(f"hidden_size {d_model} is not a multiple of num_attention_heads {n_heads}")
        return 0

    def _rope(self, keys: Keys, max_seq_len: int) -> dict[str, Any]:
        rope = read_rope(keys, max_seq_len)
        latent = LatentConfig(
            kv_rank=keys.integer("kv_lora_rank", 512),
            q_rank=keys.integer("q_lora_rank", 1536, null=0, least=0),
            nope_head_dim=keys.integer("qk_nope_head_dim", 128),
            rope_head_dim=keys.integer("qk_rope_head_dim", 64, least=2),
            v_head_dim=keys.integer("v_head_dim", 128),
        )
        scale = latent.qk_head_dim**-0.5 * rope.score_factor if rope.score_factor != 1 else 0.0
        return {
            "rope_theta": rope.theta,
            "rope_scaling": rope.scaling,
            "rope_pairing": self._pairing(keys),
            "latent": latent,
            "attention_scale": scale,
        }

    def _rope_keys(self, config: ModelConfig) -> dict[str, Any]:
        latent = config.latent
        assert latent
        factor = config.score_scale * latent.qk_head_dim**0.5
        return {
            **write_rope(config.rope_theta, config.rope_scaling, latent.rope_head_dim, factor),
            **self._pairing_keys(config),
            "kv_lora_rank": latent.kv_rank,
            "q_lora_rank": latent.q_rank or None,
            "qk_nope_head_dim": latent.nope_head_dim,
            "qk_rope_head_dim": latent.rope_head_dim,
            "v_head_dim": latent.v_head_dim,
            "head_dim": latent.rope_head_dim,
        }

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        keys.only("attention_bias", False)
        keys.only("mlp_bias", False)
        keys.only("moe_layer_freq", 1)
        keys.only("scoring_func", self.scoring)
        keys.ignore("num_nextn_predict_layers")  # tensors of which are left out
        if not math.isclose(eps := keys.number("rms_norm_eps", _EPS), _EPS):
            keys.problems.append(f"rms_norm_eps = {eps} is not supported (only {_EPS}, that of latent norms)")
        heads = keys.integer("num_attention_heads")
        if (kv_heads := keys.integer("num_key_value_heads", heads)) != heads:
            keys.problems.append(f"num_key_value_heads = {kv_heads} is not num_attention_heads = {heads}")
        dense, n_layers = (
            keys.integer("first_k_dense_replace", self.n_dense, least=0),
            keys.integer("num_hidden_layers"),
        )
        moe = self._read_moe(keys, dense)
        return {"moe": moe if dense < n_layers else None}

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        moe = config.moe or MoeConfig(n_experts=2, dense_layers=config.n_layers, n_shared=1, d_expert=1)
        grouped = moe.n_groups > moe.top_groups
        return {
            "first_k_dense_replace": moe.dense_layers,
            "moe_intermediate_size": moe.d_expert or config.ff_width,
            "n_routed_experts": moe.n_experts,
            "n_shared_experts": moe.n_shared,
            "num_experts_per_tok": moe.top_k,
            "norm_topk_prob": moe.normalize_top_k,
            "routed_scaling_factor": moe.routed_scale,
            "n_group": moe.n_groups if grouped else 1,
            "topk_group": moe.top_groups if grouped else 1,
            "moe_layer_freq": 1,
            "attention_bias": config.attention_output_bias,
            **self._method_keys(grouped=grouped),
        }

    def _method_keys(self, *, grouped: bool) -> dict[str, Any]:
        return {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "num_nextn_predict_layers": 0}

    def _pairing(self, keys: Keys) -> str:
        return "interleaved" if keys.flag("rope_interleave", True) else "half"

    def _pairing_keys(self, config: ModelConfig) -> dict[str, Any]:
        return {"rope_interleave": config.rope_pairing == "interleaved"}

    def _read_moe(self, keys: Keys, dense_layers: int) -> MoeConfig:
        keys.only("topk_method", "noaux_tc")
        n_experts, groups = keys.integer("n_routed_experts", 256, least=2), keys.integer("n_group", 8, null=1)
        if n_experts < 2 * groups:  # a group is worth its two best
            keys.problems.append(f"n_group = {groups} leaves fewer than two of {n_experts} experts in a group")
        return MoeConfig(
            n_experts=n_experts,
            top_k=keys.integer("num_experts_per_tok", 8),
            d_expert=keys.integer("moe_intermediate_size", 2048),
            n_shared=keys.integer("n_shared_experts", 1),
            dense_layers=dense_layers,
            scoring="sigmoid",
            normalize_top_k=keys.flag("norm_topk_prob", True),
            routed_scale=keys.number("routed_scaling_factor", 2.5),
            n_groups=groups,
            top_groups=keys.integer("topk_group", 4, null=1),
            balance="bias",
        )

    def _attention(self, config: ModelConfig, ours: str, theirs: str) -> list[Pair]:
        assert config.latent
        names = {"kv_down": "kv_a_proj_with_mqa", "kv_norm": "kv_a_layernorm", "kv_up": "kv_b_proj", "o": "o_proj"}
        if config.latent.q_rank:
            names |= {"q_down": "q_a_proj", "q_norm": "q_a_layernorm", "q_up": "q_b_proj"}
        else:
            names |= {"q": "q_proj"}
        return [same(f"{ours}.{one}.weight", f"{theirs}.{other}.weight") for one, other in names.items()]

    def _experts(self, config: ModelConfig, ours: str, theirs: str, *, fused: bool) -> list[Pair]:
        assert config.moe
        inside = f"{theirs}.mlp"
        return [
            same(f"{ours}.router.weight", f"{inside}.gate.weight"),
            *self._router_bias(config.moe, f"{ours}.router.bias", f"{inside}.gate.e_score_correction_bias"),
            *expert_pairs(config.moe.n_experts, f"{ours}.experts", f"{inside}.experts", fused=fused),
            *gated(f"{ours}.shared", f"{inside}.shared_experts"),
        ]

    def _router_bias(self, moe: MoeConfig, ours: str, theirs: str) -> list[Pair]:
        if moe.balance == "bias":
            return [Pair((ours,), (theirs,), SAME, in_fp32=True)]
        return [Pair((), (theirs,), zeros(moe.n_experts), in_fp32=True)]


class DeepseekV2(DeepseekV3):
    """A softmax router without a bias."""

    model_type = "deepseek_v2"
    architecture = "DeepseekV2ForCausalLM"
    even_heads = True
    scoring = "softmax"
    n_dense = 0

    def _pairing(self, keys: Keys) -> str:
        keys.only("rope_interleave", True)
        return "interleaved"

    def _pairing_keys(self, config: ModelConfig) -> dict[str, Any]:
        return {}

    def _method_keys(self, *, grouped: bool) -> dict[str, Any]:
        return {"scoring_func": "softmax", "topk_method": "group_limited_greedy" if grouped else "greedy"}

    def _read_moe(self, keys: Keys, dense_layers: int) -> MoeConfig:
        keys.only("norm_topk_prob", False)  # transformers does not read it, DeepSeek's own code does
        grouped = keys.choice("topk_method", {"greedy": False, "group_limited_greedy": True}, "greedy")
        groups, top = keys.integer("n_group", 1), keys.integer("topk_group", 1)
        return MoeConfig(
            n_experts=keys.integer("n_routed_experts", 64, least=2),
            top_k=keys.integer("num_experts_per_tok"),
            d_expert=keys.integer("moe_intermediate_size", 1407),
            n_shared=keys.integer("n_shared_experts", 2),
            dense_layers=dense_layers,
            scoring="softmax",
            normalize_top_k=False,
            routed_scale=keys.number("routed_scaling_factor", 1.0),
            n_groups=groups if grouped else 1,
            top_groups=top if grouped else 1,
        )

    def _router_bias(self, moe: MoeConfig, ours: str, theirs: str) -> list[Pair]:
        return []
