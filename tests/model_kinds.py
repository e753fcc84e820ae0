"""One small model of every kind, for the laws that hold for all of them."""

from typing import Any

import torch

from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.language_model import LanguageModel
from groundup.model.parts import LatentConfig, MoeConfig, RopeScaling

VOCABULARY = 280
LATENT = LatentConfig(kv_rank=12, nope_head_dim=6, rope_head_dim=4, v_head_dim=10)
GPT_2 = {
    "position": "learned",
    "norm": "layernorm",
    "qk_norm": False,
    "feedforward": "gelu-tanh",
    "feedforward_bias": True,
    "attention_bias": True,
    "attention_output_bias": True,
}

KINDS: dict[str, dict[str, Any]] = {
    "every head its own keys": {},
    "grouped heads": {"n_kv_heads": 2},
    "one key head": {"n_kv_heads": 1},
    "no norm of heads": {"qk_norm": False},
    "own head size, untied": {"head_dim": 6, "tie_embeddings": False},
    "attention written out": {"n_kv_heads": 2, "attention": "plain"},
    "fused attention": {"n_kv_heads": 2, "attention": "sdpa"},
    "latent attention": {"latent": LATENT},
    "latent attention and queries": {"latent": LATENT.model_copy(update={"q_rank": 20}), "rope_pairing": "interleaved"},
    "latent attention written out": {"latent": LATENT, "attention": "plain", "window": 4, "attention_softcap": 5.0},
    "window": {"window": 4},
    "window of one": {"window": 1, "window_pattern": "LGG"},
    "window, global": {"window": 4, "window_pattern": "LG", "n_kv_heads": 2},
    "window, global, own rotation": {"window": 4, "window_pattern": "LG", "rope_local_theta": 100.0},
    "window, written out": {"window": 4, "window_pattern": "GL", "attention": "plain"},
    "sinks": {"attention_sinks": True, "window": 4, "window_pattern": "LG"},
    "soft-capped": {"attention_softcap": 2.0, "logit_softcap": 3.0},
    "own scale": {"attention_scale": 0.7, "logit_scale": 0.5, "embedding_scale": 2.0, "residual_scale": 0.3},
    "rope of pairs": {"rope_pairing": "interleaved"},
    "partial rope": {"rope_fraction": 0.5},
    "partial rope of pairs": {"rope_fraction": 0.5, "rope_pairing": "interleaved"},
    "scaled rope": {"rope_scaling": RopeScaling(method="yarn", factor=4, original_max_seq_len=16)},
    "alibi": {"position": "alibi"},
    "alibi, odd heads, window": {"position": "alibi", "n_heads": 3, "head_dim": 8, "window": 4, "attention": "plain"},
    "learned positions": {"position": "learned"},
    "sinusoidal positions": {"position": "sinusoidal"},
    "no positions": {"position": "none"},
    "norms behind": {"residual": "post", "norm": "layernorm"},
    "norms on both sides": {"residual": "sandwich"},
    "side by side": {"residual": "parallel", "norm": "layernorm", "norm_bias": False},
    "gpt-2": GPT_2,
    "experts": {"moe": MoeConfig(n_experts=4)},
    "experts, sigmoid, shared": {
        "moe": MoeConfig(
            n_experts=8, top_k=3, d_expert=16, n_shared=1, dense_layers=1, scoring="sigmoid", balance="bias"
        )
    },
    "predicts further ahead": {"n_predict": 2},
    "rnn": {"kind": "rnn"},
    "lstm": {"kind": "lstm"},
    "gru": {"kind": "gru", "norm": "layernorm", "tie_embeddings": False},
}


def model_of(kind: str, **changes: Any) -> LanguageModel:
    """Always the same for a kind. Every part of it matters: no output, bias or sink is zero."""
    size = {"n_layers": 3, "d_model": 32, "n_heads": 4, "max_seq_len": 48, "init_std": 0.5, "zero_init_output": False}
    model = initialize(build_model(ModelConfig(**size | KINDS[kind] | changes), VOCABULARY), seed=1)
    generator = torch.Generator().manual_seed(2)
    vectors = [p.data for p in model.parameters() if p.dim() < 2]
    vectors += [buffer for name, buffer in model.named_buffers() if name.endswith("router.bias")]
    for vector in vectors:
        vector.add_(0.3 * torch.randn(vector.shape, generator=generator))
    return model
