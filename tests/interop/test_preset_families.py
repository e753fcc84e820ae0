"""Presets as transformers has them: the same parameters, and nothing lost on the way there and back."""

from typing import Any

import pytest
import torch

from groundup.interop.essence import differences, essence
from groundup.interop.hugging_face.families import FAMILIES, family_for
from groundup.model.count import count_parameters
from groundup.model.preset import Preset, load_preset, preset_names

# The start of a preset's name, and the family that it is of.
IMPORTABLE = {
    "deepseek-v2": "deepseek_v2",
    "deepseek-v3": "deepseek_v3",
    "gemma-2": "gemma2",
    "gemma-3": "gemma3_text",
    "gpt2": "gpt2",
    "gpt3": "gpt2",
    "llama": "llama",
    "mistral": "mistral",
    "mixtral": "mixtral",
    "qwen2": "qwen2",
    "qwen3-30b": "qwen3_moe",
    "qwen3": "qwen3",
    "smollm2": "llama",
    "tinyllama": "llama",
}
# Those of families that transformers has and this program does not import, with sizes as their config.json names them.
OTHERS: dict[str, tuple[str, dict[str, str | int | bool]]] = {
    "gpt1": (
        "openai-gpt",
        {"n_embd": "d_model", "n_layer": "n_layers", "n_head": "n_heads", "n_positions": "max_seq_len"},
    ),
    "mpt-7b": ("mpt", {"d_model": "d_model", "n_layers": "n_layers", "n_heads": "n_heads"}),
    "falcon-7b": (
        "falcon",
        {
            "hidden_size": "d_model",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "ffn_hidden_size": "d_ff",
            "multi_query": True,
            "parallel_attn": True,
            "bias": False,
        },
    ),
}


def family_name(name: str) -> str | None:
    return next((family for start, family in IMPORTABLE.items() if name.startswith(start)), None)


def config_json(preset: Preset) -> dict[str, Any]:
    """What describes a preset to transformers."""
    if preset.name not in OTHERS:
        return family_for(preset.config).write(preset.config, preset.vocab_size)
    model_type, sizes = OTHERS[preset.name]
    given = {key: getattr(preset.config, name) if isinstance(name, str) else name for key, name in sizes.items()}
    return {"model_type": model_type, "vocab_size": preset.vocab_size, **given}


@pytest.mark.parametrize("name", [name for name in preset_names() if family_name(name) or name in OTHERS])
def test_parameters_are_those_of_the_model_in_transformers(name):
    from transformers import AutoConfig, AutoModelForCausalLM

    preset = load_preset(name)
    written = config_json(preset)
    config = AutoConfig.for_model(written.pop("model_type"), **written)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    tensors = dict(model.named_parameters())
    tensors |= {n: b for n, b in model.named_buffers() if n.endswith("e_score_correction_bias")}
    assert count_parameters(preset.config, preset.vocab_size).total == sum(t.numel() for t in tensors.values())


@pytest.mark.parametrize("name", [name for name in preset_names() if family_name(name)])
def test_a_preset_is_of_its_family_and_comes_back_from_its_config(name):
    preset = load_preset(name)
    family = FAMILIES[family_name(name) or ""]
    assert family_for(preset.config) is family
    back, vocab_size = family.read(family.write(preset.config, preset.vocab_size))
    assert vocab_size == preset.vocab_size
    assert not differences(essence(preset.config), essence(back))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("deepseek-v3", {"mscale_all_dim": 1.0, "factor": 40.0, "original_max_position_embeddings": 4096}),
        ("deepseek-v2-lite", {"mscale_all_dim": 0.707, "factor": 40.0, "beta_fast": 32.0, "beta_slow": 1.0}),
        ("llama-3.2-1b", {"rope_type": "llama3", "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0}),
    ],
)
def test_the_scaling_of_positions_is_written_as_it_was_published(name, published):
    scaling = config_json(load_preset(name))["rope_scaling"]
    assert {key: scaling[key] for key in published} == published
