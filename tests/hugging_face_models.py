"""Small random models that transformers makes, of every family and with every option of their configs that counts."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foreign_tokenizers import write_tokenizer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

VOCABULARY = 704
CONTEXT = 96
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": CONTEXT,
    "bos_token_id": None,
    "eos_token_id": None,
}
_MOE = {"num_local_experts": 4, "num_experts_per_tok": 2}
_QWEN_MOE = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 16}
_GEMMA = {"head_dim": 12, "sliding_window": 8, "query_pre_attn_scalar": 20}
_DEEPSEEK = {
    "num_key_value_heads": 4,
    "moe_intermediate_size": 16,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 16,
    "q_lora_rank": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "qk_nope_head_dim": 10,
}
_LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24, "rope_theta": 5_000.0}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "original_max_position_embeddings": 32,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "rope_theta": 500_000.0,
}

# Of each family one or two that have most options at once; they run in the fast lane.
MAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", _GPT2),
    "gpt2, other width and gelu": ("GPT2", {**_GPT2, "n_inner": 40, "activation_function": "gelu"}),
    "llama": ("Llama", {**_SIZES, "rope_parameters": _LLAMA3}),
    "llama, tied, with biases": (
        "Llama",
        {
            **_SIZES,
            "tie_word_embeddings": True,
            "attention_bias": True,
            "mlp_bias": True,
            "num_key_value_heads": 1,
            "head_dim": 10,
            "hidden_act": "gelu",
            "rope_parameters": _YARN,
        },
    ),
    "mistral": ("Mistral", {**_SIZES, "sliding_window": 8, "head_dim": 12, "rms_norm_eps": 1e-5}),
    "mixtral": ("Mixtral", {**_SIZES, **_MOE}),
    "qwen2": ("Qwen2", {**_SIZES, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {**_SIZES, "head_dim": 12, "tie_word_embeddings": True}),
    "qwen3 with experts": ("Qwen3Moe", {**_SIZES, **_QWEN_MOE, "mlp_only_layers": [0], "norm_topk_prob": True}),
    "gemma2": (
        "Gemma2",
        {**_SIZES, **_GEMMA, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
    ),
    "gemma3": (
        "Gemma3Text",
        {
            **_SIZES,
            **_GEMMA,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
        },
    ),
    "deepseek v3": (
        "DeepseekV3",
        {
            **_SIZES,
            **_DEEPSEEK,
            "n_group": 4,
            "topk_group": 2,
            "rope_parameters": {**_YARN, "mscale": 1.0, "mscale_all_dim": 1.0},
        },
    ),
    "deepseek v2": ("DeepseekV2", {**_SIZES, **_DEEPSEEK, "q_lora_rank": None, "n_shared_experts": 2}),
}

# The other options, one after the other.
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2, untied, relu": ("GPT2", {**_GPT2, "tie_word_embeddings": False, "activation_function": "relu"}),
    "gpt2, squared relu": ("GPT2", {**_GPT2, "activation_function": "relu2"}),
    "gpt2, swish": ("GPT2", {**_GPT2, "activation_function": "silu", "layer_norm_epsilon": 1e-3}),
    "llama, one head each": ("Llama", {**_SIZES, "num_key_value_heads": 4}),
    "llama, linear": ("Llama", {**_SIZES, "rope_parameters": _LINEAR}),
    "llama, yarn with a temperature": ("Llama", {**_SIZES, "rope_parameters": {**_YARN, "attention_factor": 1.3}}),
    "llama, yarn not cut to pairs": (
        "Llama",
        {**_SIZES, "rope_parameters": {**_YARN, "truncate": False, "beta_fast": 16.0, "beta_slow": 2.0}},
    ),
    "llama, yarn of two scales": (
        "Llama",
        {**_SIZES, "rope_parameters": {**_YARN, "mscale": 0.7, "mscale_all_dim": 0.4}},
    ),
    "llama, geglu": ("Llama", {**_SIZES, "hidden_act": "gelu_pytorch_tanh"}),
    "llama, reglu": ("Llama", {**_SIZES, "hidden_act": "relu"}),
    "llama, glu": ("Llama", {**_SIZES, "hidden_act": "sigmoid"}),
    "llama, bilinear": ("Llama", {**_SIZES, "hidden_act": "linear"}),
    "mistral, no window": ("Mistral", {**_SIZES, "sliding_window": None, "tie_word_embeddings": True}),
    "mistral, yarn": ("Mistral", {**_SIZES, "sliding_window": 5, "rope_parameters": _YARN}),
    "mixtral, window": ("Mixtral", {**_SIZES, **_MOE, "sliding_window": 8, "num_experts_per_tok": 1}),
    "mixtral, tied": ("Mixtral", {**_SIZES, **_MOE, "tie_word_embeddings": True, "head_dim": 10}),
    "qwen2, yarn, tied": ("Qwen2", {**_SIZES, "rope_parameters": _YARN, "tie_word_embeddings": True}),
    "qwen2, windows here and there": (
        "Qwen2",
        {
            **_SIZES,
            "use_sliding_window": True,
            "sliding_window": 6,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "qwen3, biases and windows": (
        "Qwen3",
        {
            **_SIZES,
            "head_dim": 10,
            "attention_bias": True,
            "use_sliding_window": True,
            "sliding_window": 8,
            "max_window_layers": 2,
        },
    ),
    "qwen3 with experts, window": (
        "Qwen3Moe",
        {**_SIZES, **_QWEN_MOE, "use_sliding_window": True, "sliding_window": 8, "attention_bias": True},
    ),
    "gemma2, no soft-caps": (
        "Gemma2",
        {
            **_SIZES,
            **_GEMMA,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "tie_word_embeddings": False,
            "attention_bias": True,
        },
    ),
    "gemma3, soft-capped logits": (
        "Gemma3Text",
        {**_SIZES, **_GEMMA, "final_logit_softcapping": 4.0, "sliding_window_pattern": 2, "attention_bias": True},
    ),
    "gemma3, all windows": ("Gemma3Text", {**_SIZES, **_GEMMA, "tie_word_embeddings": False}),
    "deepseek v3, plain": (
        "DeepseekV3",
        {
            **_SIZES,
            **_DEEPSEEK,
            "q_lora_rank": None,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": False,
            "rope_interleave": False,
            "tie_word_embeddings": True,
            "first_k_dense_replace": 0,
        },
    ),
    "deepseek v3, dense": (
        "DeepseekV3",
        {**_SIZES, **_DEEPSEEK, "first_k_dense_replace": 3, "n_group": 1, "topk_group": 1},
    ),
    "deepseek v3, two scales": (
        "DeepseekV3",
        {
            **_SIZES,
            **_DEEPSEEK,
            "n_group": 2,
            "topk_group": 1,
            "rope_parameters": {**_YARN, "mscale": 0.6, "mscale_all_dim": 1.1},
        },
    ),
    "deepseek v2, groups, yarn": (
        "DeepseekV2",
        {
            **_SIZES,
            **_DEEPSEEK,
            "topk_method": "group_limited_greedy",
            "n_group": 4,
            "topk_group": 2,
            "routed_scaling_factor": 1.5,
            "rope_parameters": {**_YARN, "mscale": 0.707, "mscale_all_dim": 0.707},
        },
    ),
}


_TOKENIZERS = {
    "GPT2": "gpt2",
    "Llama": "llama3",
    "Mistral": "mistral",
    "Mixtral": "llama2",
    "Qwen2": "qwen2",
    "Qwen3": "qwen3",
    "Qwen3Moe": "qwen3",
    "Gemma2": "gemma",
    "Gemma3Text": "gemma",
    "DeepseekV3": "deepseek3",
    "DeepseekV2": "deepseek3",
}


@dataclass(frozen=True)
class Made:
    """A model of transformers, and the folder that it was saved in."""

    model: nn.Module
    folder: Path


def save_model(name: str, folder: Path) -> Made:
    """Save the model of that name with a tokenizer of its family, which has fewer tokens than there are embeddings."""
    model = make_model(name)
    model.save_pretrained(folder)
    write_tokenizer(_TOKENIZERS[(MAIN | MORE)[name][0]], folder, VOCABULARY - 64)
    return Made(model, folder)


def make_model(name: str) -> nn.Module:
    """The model of that name with random weights, none of which is what it is at the start of a training."""
    family, options = (MAIN | MORE)[name]
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, f"{family}Config")(**options))
    generator = torch.Generator().manual_seed(0)
    is_gemma = family.startswith("Gemma")
    for key, tensor in _tensors(model):
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.dim() >= 2:
            is_table = any(part in key for part in ("embed", "wte", "wpe"))
            tensor.data.copy_(noise * (1.0 if is_table else 1.5 / tensor.shape[-1] ** 0.5))
        else:
            is_norm = "norm" in key or "ln_" in key
            tensor.data.copy_(noise * 0.3 + (1.0 if is_norm and key.endswith("weight") and not is_gemma else 0.0))
    return model.eval()


def theirs(model: nn.Module, tokens_BT: Tensor) -> Tensor:
    """Logits of a model of transformers."""
    with torch.inference_mode():
        return model(input_ids=tokens_BT).logits


def _tensors(model: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from ((key, buffer) for key, buffer in model.named_buffers() if key.endswith("e_score_correction_bias"))
