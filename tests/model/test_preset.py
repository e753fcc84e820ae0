import re

import pytest

from groundup.core.errors import UserError
from groundup.model.config import ModelConfig
from groundup.model.count import count_parameters
from groundup.model.preset import load_preset, preset_names, put_preset, resolve_preset

# To the unit: papers, and the safetensors counts of model cards. Tied embeddings count once.
PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3-405b": 405_853_388_800,
    "llama-3.2-1b": 1_235_814_400,
    "tinyllama-1.1b": 1_100_048_384,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "qwen2-0.5b": 494_032_768,
    "qwen2-7b": 7_615_616_512,
    "qwen3-8b": 8_190_735_360,
    "qwen3-30b-a3b": 30_532_122_624,
    "gemma-2-2b": 2_614_341_888,
    "gemma-3-1b": 999_885_952,
    "deepseek-v2-lite": 15_706_484_224,
    "deepseek-v3": 671_026_419_200,
    "nanogpt-baby": 10_745_088,
    "nanogpt-cpu": 804_096,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_exactly_those_that_were_published(name):
    preset = load_preset(name)
    assert count_parameters(preset.config, preset.vocab_size).total == PUBLISHED[name]


def test_a_token_of_mixtral_needs_exactly_as_many_parameters_as_published():
    preset = load_preset("mixtral-8x7b")
    assert count_parameters(preset.config, preset.vocab_size).active == 12_879_925_248


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is_and_where_its_values_are_from(name):
    preset = load_preset(name)
    assert re.search(r"\(.* (19|20)\d\d.*\)", preset.about) and preset.about.endswith(".")
    assert "eights" in preset.about or preset.config.kind == name
    assert preset.table == ModelConfig.model_validate(preset.table).model_dump(exclude_unset=True)


@pytest.mark.parametrize("name", [name for name in preset_names() if load_preset(name).is_whole])
def test_what_defaults_would_decide_otherwise_a_whole_preset_decides(name):
    needed = {"n_layers", "d_model", "n_heads", "d_ff", "max_seq_len", "position", "qk_norm", "feedforward", "norm"}
    needed |= {"norm_eps", "tie_embeddings", "init", "zero_init_output"}
    assert not needed - set(load_preset(name).table)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("gpt-2", "gpt2"), ("Llama-3-8B", "llama-3-8b"), ("mixtral", "mixtral-8x7b"), ("../gpt2", "gpt2")],
)
def test_an_unknown_preset_is_told_with_the_nearest(name, nearest):
    with pytest.raises(UserError, match=f"no preset is called '{name}'; did you mean '{nearest}'"):
        load_preset(name)


def test_a_preset_fills_in_what_a_table_does_not_say():
    assert ModelConfig(**resolve_preset("gpt2")) == load_preset("gpt2").config
    changed = resolve_preset({"preset": "mixtral-8x7b", "n_layers": 2, "moe": {"n_experts": 4}})
    assert (changed["n_layers"], changed["d_model"]) == (2, 4096)
    assert changed["moe"] == load_preset("mixtral-8x7b").table["moe"] | {"n_experts": 4}
    assert resolve_preset({"n_layers": 2}) == {"n_layers": 2}
    assert resolve_preset(7) == 7
    assert load_preset("mixtral-8x7b").table["moe"]["n_experts"] == 8


def test_a_preset_in_the_place_of_a_table_keeps_nothing_of_it_but_for_a_recurrent_one():
    table = {"n_layers": 5, "d_model": 192, "qk_norm": False}
    assert put_preset(table, "gpt2") == {"preset": "gpt2"}
    assert put_preset(table, "lstm") == {**table, "kind": "lstm"}
    assert put_preset(None, "lstm") == {"preset": "lstm"}
    assert put_preset(table, "no such") == {"preset": "no such"}
    assert resolve_preset(put_preset({"preset": "gpt2"}, "gru")) == load_preset("gpt2").table | {"kind": "gru"}
