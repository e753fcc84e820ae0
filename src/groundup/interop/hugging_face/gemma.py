"""Gemma 2 and the text models of Gemma 3."""

from typing import Any, ClassVar

from groundup.interop.hugging_face.keys import Keys
from groundup.interop.hugging_face.llama import Llama
from groundup.interop.hugging_face.rope import read_rope_table, write_rope
from groundup.interop.hugging_face.tensors import PLUS_ONE
from groundup.interop.hugging_face.windows import layer_types, read_windows
from groundup.model.config import ModelConfig


class Gemma2(Llama):
    """Norms before and after each sublayer, scaled embeddings, soft-caps, a window in every other layer."""

    model_type = "gemma2"
    architecture = "Gemma2ForCausalLM"
    tied = True
    default_kv_heads = 4
    activation_key = "hidden_activation"
    default_activation = "gelu_pytorch_tanh"
    norm_operation = PLUS_ONE
    norms: ClassVar[dict[str, str]] = {
        "attention_norm": "input_layernorm",
        "attention_output_norm": "post_attention_layernorm",
        "feedforward_norm": "pre_feedforward_layernorm",
        "feedforward_output_norm": "post_feedforward_layernorm",
    }
    default_final_softcap: ClassVar[float] = 30.0
    usual_pattern: ClassVar[int] = 2
    """Of so many layers the last one sees everything."""

    def _head_dim(self, keys: Keys, d_model: int, n_heads: int) -> int:
        super()._head_dim(keys, d_model, n_heads)
        return keys.integer("head_dim", 256)

    def _more_fields(self, keys: Keys) -> dict[str, Any]:
        keys.ignore("hidden_act")  # of an older spelling, which transformers does not read
        keys.only("use_bidirectional_attention", False)
        bias, n_layers = keys.flag("attention_bias", False), keys.integer("num_hidden_layers")
        period = self._period(keys)
        usual = ["full_attention" if (layer + 1) % period == 0 else "sliding_attention" for layer in range(n_layers)]
        return {
            "attention_bias": bias,
            "attention_output_bias": bias,
            "attention_scale": keys.integer("query_pre_attn_scalar", 256) ** -0.5,
            "residual": "sandwich",
            "embedding_scale": keys.integer("hidden_size") ** 0.5,
            "logit_softcap": keys.softcap("final_logit_softcapping", self.default_final_softcap),
            **self._attention_softcap(keys),
            **read_windows(keys, usual, keys.window("sliding_window", 4096)),
        }

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        local = config.window is not None and "L" in config.window_pattern
        return {
            "attention_bias": config.attention_bias,
            "query_pre_attn_scalar": max(round(config.score_scale**-2), 1),
            "final_logit_softcapping": config.logit_softcap or None,
            "attn_logit_softcapping": config.attention_softcap or None,
            "sliding_window": config.window if local else 4096,
            "layer_types": layer_types(config),
        }

    def _period(self, keys: Keys) -> int:
        return self.usual_pattern

    def _attention_softcap(self, keys: Keys) -> dict[str, Any]:
        return {"attention_softcap": keys.softcap("attn_logit_softcapping", 50.0)}


class Gemma3(Gemma2):
    """Gemma 2 with norms of queries and keys in place of soft-caps, and a rotary base of its own for windows."""

    model_type = "gemma3_text"
    architecture = "Gemma3ForCausalLM"
    qk_norm = True
    default_final_softcap = 0.0
    usual_pattern = 6

    def _rope(self, keys: Keys, max_seq_len: int) -> dict[str, Any]:
        tables = keys.table("rope_parameters") or Keys({})
        theta, local_theta = keys.number("rope_theta", 1_000_000.0), keys.number("rope_local_base_freq", 10_000.0)
        far = keys.table("rope_scaling") or tables.table("full_attention") or Keys({})
        everywhere = read_rope_table(far, max_seq_len, theta)
        near = read_rope_table(tables.table("sliding_attention") or Keys({}), max_seq_len, local_theta)
        if near.scaling is not None:
            keys.problems.append("rope_parameters.sliding_attention is scaled, which is not supported")
        if everywhere.scaling and not everywhere.scaling.truncate:
            keys.problems.append("truncate = False is not supported: transformers reads it elsewhere than it is")
        tables.close()
        return {"rope_theta": everywhere.theta, "rope_local_theta": near.theta, "rope_scaling": everywhere.scaling}

    def _more_keys(self, config: ModelConfig) -> dict[str, Any]:
        kinds = layer_types(config)
        first = kinds.index("full_attention") if "full_attention" in kinds else len(kinds)
        return {**super()._more_keys(config), "sliding_window_pattern": first + 1}

    def _rope_keys(self, config: ModelConfig) -> dict[str, Any]:
        rope = write_rope(config.rope_theta, config.rope_scaling, config.rotary_size)
        return {**rope, "rope_local_base_freq": config.rope_local_theta or rope["rope_theta"]}

    def _period(self, keys: Keys) -> int:
        keys.ignore("_sliding_window_pattern")  # transformers writes it, and does not read it
        return keys.integer("sliding_window_pattern", self.usual_pattern)

    def _attention_softcap(self, keys: Keys) -> dict[str, Any]:
        keys.only("attn_logit_softcapping")
        return {}
