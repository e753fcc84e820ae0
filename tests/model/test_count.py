from dataclasses import asdict

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.count import (
    count_parameters,
    flops_per_token,
    generation_flops_per_token,
    kv_bytes_per_token,
)
from groundup.model.initialize import initialize
from groundup.model.parts import LatentConfig, MoeConfig
from groundup.model.preset import load_preset, preset_names
from model_kinds import KINDS

# Names of weights by the part that they are counted in; the first that fits. All else is norms.
PARTS = ("predictors", "embedding", "position", "head", "attention", "router", "experts", "feedforward", "cell")


def counted_by_torch(config: ModelConfig, vocab_size: int) -> dict[str, int]:
    """Elements of the real model's weights, and of the biases that balance experts, by part."""
    with torch.device("meta"):
        model = build_model(config, vocab_size)
    tensors = dict(model.named_parameters()) | {n: b for n, b in model.named_buffers() if n.endswith("router.bias")}
    found = dict.fromkeys([*PARTS, "norms"], 0)
    for name, tensor in tensors.items():
        found[next((part for part in PARTS if part in name.split(".")), "norms")] += tensor.numel()
    return found


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_the_parameters_of_the_real_model(name):
    preset = load_preset(name)
    assert asdict(count_parameters(preset.config, preset.vocab_size).parts) == counted_by_torch(
        preset.config, preset.vocab_size
    )


MORE_KINDS = {
    **KINDS,
    "biases everywhere": {"attention_bias": True, "attention_output_bias": True, "feedforward_bias": True},
    "latent attention with an output bias": {
        "latent": LatentConfig(kv_rank=12, q_rank=10, nope_head_dim=6, rope_head_dim=4, v_head_dim=10),
        "attention_output_bias": True,
        "attention_sinks": True,
    },
    "ungated experts, layernorm, ahead": {
        "feedforward": "relu2",
        "norm": "layernorm",
        "n_predict": 2,
        "moe": MoeConfig(n_experts=6, top_k=2, n_shared=2, dense_layers=2, balance="bias"),
    },
    "norms behind, ahead": {"residual": "post", "n_predict": 1},
    "an own norm of heads": {"norm": "layernorm", "head_dim": 10},
    "recurrent and ahead": {"kind": "gru", "n_predict": 2, "position": "learned"},
}


@pytest.mark.parametrize("kind", MORE_KINDS)
def test_every_kind_of_part_is_counted_as_it_is(kind):
    config = ModelConfig(**{"n_layers": 3, "d_model": 32, "n_heads": 4, "max_seq_len": 48} | MORE_KINDS[kind])
    assert asdict(count_parameters(config, 280).parts) == counted_by_torch(config, 280)


def test_parameters_are_those_counted_by_hand():
    config = ModelConfig(n_layers=2, d_model=32, n_heads=4, n_kv_heads=2, d_ff=64)
    attention = 32 * 32 * 2 + 32 * 16 * 2 + 8 + 8
    tied = count_parameters(config, 100)
    assert tied.total == tied.active == 100 * 32 + 2 * (attention + 3 * 32 * 64 + 2 * 32) + 32
    untied = count_parameters(config.model_copy(update={"tie_embeddings": False}), 100)
    assert (untied.total - tied.total, untied.parts.embedding, untied.parts.head) == (3200, 3200, 3200)


def test_active_parameters_leave_out_the_experts_that_a_token_does_not_go_to():
    moe = MoeConfig(n_experts=8, top_k=3, d_expert=16, n_shared=2, dense_layers=1)
    config = ModelConfig(n_layers=4, d_model=32, moe=moe, n_predict=1)
    counts = count_parameters(config, 100)
    assert counts.total - counts.active == (3 + 1) * 5 * 3 * 32 * 16


def counted_operations(config: ModelConfig, *, training: bool) -> float:
    """A token's share of the operations that torch counts, for 2 rows of 64 tokens, vocabulary 500."""
    model = initialize(build_model(config, 500), seed=0)
    tokens = torch.zeros(2, 64, dtype=torch.long)
    counter = FlopCounterMode(display=False)
    with counter, torch.set_grad_enabled(training):
        logits = model(tokens)
        if training:
            logits.sum().backward()
    return counter.get_total_flops() / tokens.numel()


LATENT = LatentConfig(kv_rank=12, q_rank=20, nope_head_dim=6, rope_head_dim=4, v_head_dim=14)
EXPERTS = MoeConfig(n_experts=8, top_k=2, d_expert=24, n_shared=1, dense_layers=1, kernel="plain")


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"n_kv_heads": 2, "feedforward": "gelu", "tie_embeddings": False},
        {"latent": LATENT},
        {"latent": LATENT.model_copy(update={"q_rank": 0}), "feedforward": "reglu"},
        {"moe": EXPERTS},
    ],
    ids=["plain", "grouped heads, ungated", "latent with queries", "latent", "experts"],
)
def test_operations_are_those_that_torch_counts(parts):
    config = ModelConfig(n_layers=2, d_model=64, n_heads=4, max_seq_len=64, attention="plain", **parts)
    # The formula written out computes what is masked as well, which is not counted: half of it.
    size = (LATENT.qk_head_dim + LATENT.v_head_dim) if config.latent else 2 * config.head_size
    masked = config.n_layers * config.n_heads * size * 64
    counted = counted_operations(config, training=False)
    assert counted == pytest.approx(generation_flops_per_token(config, 500, 64) + masked)
    assert flops_per_token(config, 500, 64) == 3 * generation_flops_per_token(config, 500, 64)


def test_training_costs_three_times_the_forward_pass():
    config = ModelConfig(n_layers=2, d_model=64, n_heads=4, max_seq_len=64, attention="plain", qk_norm=False)
    masked = 3 * config.n_layers * 2 * 64 * 64
    norms = 2 * 64 * (2 * config.n_layers + 1)  # a product in the backward pass of each norm, not worth counting
    expected = flops_per_token(config, 500, 64) + masked + norms
    assert counted_operations(config, training=True) == pytest.approx(expected)


def test_a_window_saves_the_attention_beyond_it():
    sizes = {"n_layers": 4, "d_model": 64, "n_heads": 4}
    everything = flops_per_token(ModelConfig(**sizes), 500, 1000)
    local = flops_per_token(ModelConfig(**sizes, window=100, window_pattern="LG"), 500, 1000)
    mean_context = (sum(range(100)) + 900 * 100) / 1000  # as far as half a token, which continuous sums do not see
    assert everything - local == pytest.approx(2 * 12 * 64 * (500 - mean_context), rel=0.002)
    assert flops_per_token(ModelConfig(**sizes, window=2000), 500, 1000) == everything


def test_operations_of_what_predicts_ahead_are_of_training_alone():
    plain, ahead = (ModelConfig(n_layers=3, d_model=64, n_predict=count) for count in (0, 2))
    assert generation_flops_per_token(plain, 500, 64) == generation_flops_per_token(ahead, 500, 64)
    extra = flops_per_token(ahead, 500, 64) - flops_per_token(plain, 500, 64)
    block = (flops_per_token(plain, 500, 64) - 6 * 500 * 64) / 3
    assert extra == pytest.approx(2 * (block + 6 * 2 * 64 * 64 + 6 * 500 * 64))


@pytest.mark.parametrize(("kind", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_operations_of_recurrent_cells_do_not_grow_with_the_sequence(kind, gates):
    config = ModelConfig(kind=kind, n_layers=2, d_model=64)
    assert (
        flops_per_token(config, 500, 64)
        == flops_per_token(config, 500, 4096)
        == 6 * (500 * 64 + 2 * gates * 2 * 64 * 64)
    )


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("gpt2", 2 * 12 * 768 * 2),
        ("llama-2-7b", 2 * 32 * 4096 * 2),  # half a megabyte, as is often quoted
        ("llama-2-70b", 2 * 80 * 8 * 128 * 2),
        ("deepseek-v3", 61 * (512 + 64) * 2),  # 70.272 kB (DeepSeek-AI 2025, "Insights into DeepSeek-V3", table 1)
        ("llama-3-405b", 516_096),  # 516.096 kB, same table
        ("lstm", 0),
    ],
)
def test_the_cache_of_a_token_is_as_large_as_published(preset, published):
    assert kv_bytes_per_token(load_preset(preset).config) == published
    assert kv_bytes_per_token(load_preset(preset).config, 4) == 2 * published
