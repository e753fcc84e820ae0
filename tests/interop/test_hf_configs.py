"""config.json as models were published with, held against the presets, which were written from other sources."""

import json
from typing import Any

import pytest

from groundup.core.errors import UserError
from groundup.interop.essence import differences, essence
from groundup.interop.hugging_face.families import FAMILIES, family_for
from groundup.model.config import ModelConfig
from groundup.model.parts import RopeScaling
from groundup.model.preset import load_preset, preset_names

PUBLISHED = {
    "gpt2": """{"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
        "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12,
        "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": null, "summary_first_dropout": 0.1,
        "summary_proj_to_labels": true, "summary_type": "cls_index", "summary_use_proj": true,
        "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50257}""",
    "smollm2-135m": """{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 576,
        "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": true,
        "max_position_embeddings": 8192, "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30,
        "num_key_value_heads": 3, "pad_token_id": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_interleaved": false, "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
        "transformers_version": "4.42.3", "use_cache": true, "vocab_size": 49152}""",
    "llama-3.1-8b": """{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096,
        "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 131072, "mlp_bias": false,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "transformers_version": "4.43.0.dev0", "use_cache": true, "vocab_size": 128256}""",
    "mistral-7b": """{"architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
        "max_position_embeddings": 32768, "model_type": "mistral", "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "transformers_version": "4.34.0.dev0", "use_cache": true, "vocab_size": 32000}""",
    "mixtral-8x7b": """{"architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mixtral",
        "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "num_local_experts": 8, "output_router_logits": false, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
        "router_aux_loss_coef": 0.02, "sliding_window": null, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "transformers_version": "4.36.0.dev0", "use_cache": true, "vocab_size": 32000}""",
    "qwen2-0.5b": """{"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02,
        "intermediate_size": 4864, "max_position_embeddings": 131072, "max_window_layers": 24,
        "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "transformers_version": "4.40.1", "use_cache": true,
        "use_sliding_window": false, "vocab_size": 151936}""",
    "qwen3-0.6b": """{"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024,
        "initializer_range": 0.02, "intermediate_size": 3072, "max_position_embeddings": 40960,
        "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000,
        "sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936}""",
    "qwen3-30b-a3b": """{"architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false,
        "attention_dropout": 0.0, "bos_token_id": 151643, "decoder_sparse_step": 1, "eos_token_id": 151645,
        "head_dim": 128, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
        "intermediate_size": 6144, "max_position_embeddings": 40960, "max_window_layers": 48,
        "mlp_only_layers": [], "model_type": "qwen3_moe", "moe_intermediate_size": 768, "norm_topk_prob": true,
        "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
        "num_key_value_heads": 4, "output_router_logits": false, "rms_norm_eps": 1e-06, "rope_scaling": null,
        "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001, "sliding_window": null,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.51.0",
        "use_cache": true, "use_sliding_window": false, "vocab_size": 151936}""",
    "gemma-2-2b": """{"architectures": ["Gemma2ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "attn_logit_softcapping": 50.0, "bos_token_id": 2, "cache_implementation": "hybrid", "eos_token_id": 1,
        "final_logit_softcapping": 30.0, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304, "initializer_range": 0.02,
        "intermediate_size": 9216, "max_position_embeddings": 8192, "model_type": "gemma2",
        "num_attention_heads": 8, "num_hidden_layers": 26, "num_key_value_heads": 4, "pad_token_id": 0,
        "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 4096,
        "torch_dtype": "float32", "transformers_version": "4.42.4", "use_cache": true, "vocab_size": 256000}""",
    "gemma-3-1b": """{"architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "attn_logit_softcapping": null, "bos_token_id": 2, "cache_implementation": "hybrid",
        "eos_token_id": [1, 106], "final_logit_softcapping": null, "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "initializer_range": 0.02,
        "intermediate_size": 6912, "max_position_embeddings": 32768, "model_type": "gemma3_text",
        "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1, "pad_token_id": 0,
        "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000, "rope_scaling": null,
        "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6, "torch_dtype": "bfloat16",
        "transformers_version": "4.50.0.dev0", "use_cache": true, "vocab_size": 262144}""",
    "deepseek-v2-lite": """{"architectures": ["DeepseekV2ForCausalLM"], "attention_bias": false,
        "attention_dropout": 0.0, "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV2Config"},
        "aux_loss_alpha": 0.001, "bos_token_id": 100000, "eos_token_id": 100001, "first_k_dense_replace": 1,
        "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 10944,
        "kv_lora_rank": 512, "max_position_embeddings": 163840, "model_type": "deepseek_v2",
        "moe_intermediate_size": 1408, "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 64,
        "n_shared_experts": 2, "norm_topk_prob": false, "num_attention_heads": 16, "num_experts_per_tok": 6,
        "num_hidden_layers": 27, "num_key_value_heads": 16, "pretraining_tp": 1, "q_lora_rank": null,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06, "rope_scaling": {"beta_fast": 32,
        "beta_slow": 1, "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707,
        "original_max_position_embeddings": 4096, "type": "yarn"}, "rope_theta": 10000,
        "routed_scaling_factor": 1.0, "scoring_func": "softmax", "seq_aux": true, "tie_word_embeddings": false,
        "topk_group": 1, "topk_method": "greedy", "torch_dtype": "bfloat16", "transformers_version": "4.33.1",
        "use_cache": true, "v_head_dim": 128, "vocab_size": 102400}""",
    "deepseek-v3": """{"architectures": ["DeepseekV3ForCausalLM"], "attention_bias": false,
        "attention_dropout": 0.0, "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
        "aux_loss_alpha": 0.001, "bos_token_id": 0, "eos_token_id": 1, "ep_size": 1, "first_k_dense_replace": 3,
        "hidden_act": "silu", "hidden_size": 7168, "initializer_range": 0.02, "intermediate_size": 18432,
        "kv_lora_rank": 512, "max_position_embeddings": 163840, "model_type": "deepseek_v3",
        "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256,
        "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 128, "num_experts_per_tok": 8,
        "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1, "pretraining_tp": 1,
        "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06,
        "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096, "type": "yarn"}, "rope_theta": 10000,
        "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "seq_aux": true, "tie_word_embeddings": false,
        "topk_group": 4, "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "transformers_version": "4.33.1",
        "use_cache": true, "v_head_dim": 128, "vocab_size": 129280}""",
}

# The family that each preset is written as.
WRITTEN_AS = {
    **dict.fromkeys(("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "gpt3-125m"), "gpt2"),
    **dict.fromkeys(("gpt3-6.7b", "gpt3-175b"), "gpt2"),
    **dict.fromkeys(("llama-7b", "llama-2-7b", "llama-2-13b", "llama-2-70b", "llama-3-8b", "llama-3-70b"), "llama"),
    **dict.fromkeys(("llama-3-405b", "llama-3.1-8b", "llama-3.2-1b", "tinyllama-1.1b"), "llama"),
    **dict.fromkeys(("smollm2-135m", "smollm2-360m", "smollm2-1.7b"), "llama"),
    **dict.fromkeys(("qwen2-0.5b", "qwen2-7b"), "qwen2"),
    **dict.fromkeys(("qwen3-0.6b", "qwen3-8b"), "qwen3"),
    "mistral-7b": "mistral",
    "mixtral-8x7b": "mixtral",
    "qwen3-30b-a3b": "qwen3_moe",
    "gemma-2-2b": "gemma2",
    "gemma-3-1b": "gemma3_text",
    "deepseek-v2-lite": "deepseek_v2",
    "deepseek-v3": "deepseek_v3",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_is_the_preset_of_that_name(name):
    published = json.loads(PUBLISHED[name])
    config, vocab_size = FAMILIES[published["model_type"]].read(published)
    preset = load_preset(name)
    assert differences(essence(preset.config), essence(config)) == []
    assert vocab_size == preset.vocab_size


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_written_again_says_what_it_said(name):
    """Each key that is in both has one value."""
    published = json.loads(PUBLISHED[name])
    family = FAMILIES[published["model_type"]]
    written = family.write(*family.read(published))
    switched_off = {"sliding_window"} if published.get("use_sliding_window") is False else set()
    left_out = {"num_nextn_predict_layers", "router_aux_loss_coef"} | switched_off
    for key in (published.keys() & written.keys()) - left_out:
        if not key.endswith("pdrop"):
            assert _simple(written[key]) == _simple(published[key]), key


@pytest.mark.parametrize("name", WRITTEN_AS)
def test_a_preset_is_written_as_its_family(name):
    assert family_for(load_preset(name).config).model_type == WRITTEN_AS[name]


@pytest.mark.parametrize(
    "name", [name for name in preset_names() if name not in WRITTEN_AS and load_preset(name).is_whole]
)
def test_other_presets_are_refused_with_what_stands_in_the_way(name):
    preset = load_preset(name)
    with pytest.raises(UserError, match="no family of Hugging Face has") as caught:
        family_for(preset.config)
    assert "lacks" in caught.value.hint


def test_a_refusal_names_what_no_family_has():
    with pytest.raises(UserError) as caught:
        family_for(ModelConfig(position="alibi"))
    assert caught.value.message == "no family of Hugging Face has position = alibi"
    assert "qwen3 lacks position = alibi" in caught.value.hint


def test_parts_that_no_family_has_together_are_told_family_by_family():
    with pytest.raises(UserError) as caught:
        family_for(ModelConfig(attention_softcap=20.0, norm="layernorm"))
    assert "has all parts of this model together" in caught.value.message
    assert "qwen3 lacks attention_softcap = 20.0, norm = layernorm" in caught.value.hint


@pytest.mark.parametrize(
    ("fields", "family"),
    [
        ({}, "qwen3"),
        ({"qk_norm": False}, "llama"),
        ({"qk_norm": False, "head_dim": 20, "d_model": 250, "d_ff": 640}, "mistral"),
        ({"qk_norm": False, "window": 8}, "mistral"),
        ({"window": 8, "window_pattern": "LG"}, "qwen3"),
        ({"qk_norm": False, "attention_bias": True}, "qwen2"),
        ({"qk_norm": False, "attention_bias": True, "attention_output_bias": True, "feedforward": "glu"}, "llama"),
        ({"rope_scaling": RopeScaling(method="ntk", factor=2.0)}, "qwen3"),
    ],
    ids=str,
)
def test_the_first_family_that_is_exact_is_chosen(fields, family):
    assert family_for(ModelConfig(**fields)).model_type == family


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_both_spellings_of_rotary_positions_are_one(family):
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "attention_factor": 1.2}
    written = FAMILIES[family].write(ModelConfig(), 300)
    shared = {key: value for key, value in written.items() if not key.startswith("rope_")}
    old = {**shared, "rope_theta": 5000.0, "rope_scaling": scaling}
    new = {**shared, "rope_parameters": {**scaling, "rope_theta": 5000.0}}
    assert _read(family, old) == _read(family, new)
    assert _read(family, old).rope_theta == 5000.0


def test_a_larger_base_is_what_ntk_aware_scaling_is():
    config = ModelConfig(rope_scaling=RopeScaling(method="ntk", factor=2.0), head_dim=64)
    written = FAMILIES["qwen3"].write(config, 300)
    assert written["rope_scaling"] is None
    assert written["rope_theta"] == pytest.approx(10_000 * 2 ** (64 / 62))


def _read(family: str, config: dict[str, Any]) -> ModelConfig:
    return FAMILIES[family].read({**config, "model_type": family})[0]


def _simple(value: Any) -> Any:
    if isinstance(value, dict):
        renamed = {"rope_type" if key == "type" else key: number for key, number in value.items()}
        return {key: pytest.approx(number) if isinstance(number, float) else number for key, number in renamed.items()}
    return value
