"""Folders that are not as they should be: each is refused in one line that says what is wrong and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.interop.hugging_face.families import FAMILIES
from groundup.interop.hugging_face.load import load_hugging_face
from hugging_face_models import save_model

_Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("llama") / "model").folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_hugging_face(folder, Reporter(quiet=True))
    told = str(caught.value)
    assert "\n" not in told
    assert caught.value.hint
    return told


def change_weights(folder: Path, change: Callable[[_Weights], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "model.safetensors")


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "removed"}))


def test_a_truncated_file_is_named(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "model.safetensors is truncated or damaged" in refused(folder)


def test_a_pointer_of_git_lfs_is_told_from_a_damaged_file(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert "pointer of git-lfs" in refused(folder)


def test_wrong_shapes_are_listed_with_what_was_expected(folder):
    def change(tensors: _Weights) -> None:
        tensors["model.norm.weight"] = torch.ones(33)
        tensors["model.layers.1.mlp.up_proj.weight"] = torch.ones(32, 48)

    change_weights(folder, change)
    told = refused(folder)
    assert "model.norm.weight is [33], expected [32]" in told
    assert "model.layers.1.mlp.up_proj.weight is [32, 48], expected [48, 32]" in told


def test_missing_and_unknown_tensors_are_listed(folder):
    def change(tensors: _Weights) -> None:
        del tensors["model.norm.weight"], tensors["model.layers.0.self_attn.q_proj.weight"]
        tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = torch.ones(2, 2)

    change_weights(folder, change)
    told = refused(folder)
    assert "model.norm.weight is missing" in told
    assert "model.layers.0.self_attn.q_proj.weight is missing" in told
    assert "model.layers.0.self_attn.q_proj.lora_A.weight is not known" in told


def test_of_many_problems_ten_are_told_and_the_rest_counted(folder):
    change_config(folder, num_hidden_layers=5)
    told = refused(folder)
    assert told.count("is missing") == 10
    assert "and 8 more" in told  # two layers of nine tensors


def test_layers_beyond_those_of_the_config_are_not_left_out(folder):
    change_config(folder, num_hidden_layers=2)
    assert "model.layers.2.input_layernorm.weight is not known" in refused(folder)


def test_a_head_that_is_said_to_be_tied_must_be_the_embedding(folder):
    change_config(folder, tie_word_embeddings=True)
    assert "two different ones" in refused(folder)
    change_weights(folder, lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"]}))
    assert load_hugging_face(folder, Reporter(quiet=True)).model.config.tie_embeddings


def test_a_head_is_not_made_up(folder):
    change_weights(folder, lambda tensors: tensors.pop("lm_head.weight"))
    assert "lm_head.weight is missing" in refused(folder)


def test_numbers_of_another_type_are_named(folder):
    name = "model.layers.0.mlp.up_proj.weight"
    change_weights(folder, lambda tensors: tensors.update({name: tensors[name].to(torch.float8_e4m3fn)}))
    assert f"numbers of type F8_E4M3 ({name})" in refused(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_a_pickle_is_refused_with_how_to_convert_it(folder, name):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / name)
    told = refused(folder)
    assert name in told
    assert "save_pretrained" in told


def test_a_folder_without_weights_is_told(folder):
    (folder / "model.safetensors").unlink()
    assert "holds no model.safetensors" in refused(folder)


def test_shards_that_the_index_names_must_be_there(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    assert "no model.safetensors.index.json" in refused(folder)
    placed = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(tensors)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    assert "lacks model-00002-of-00002.safetensors" in refused(folder)


def test_a_tensor_that_the_index_places_must_be_in_its_shard(folder):
    tensors = load_file(folder / "model.safetensors")
    placed = dict.fromkeys(tensors, "model.safetensors") | {"model.extra.weight": "model.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    assert "lacks model.extra.weight" in refused(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": {}}', '{"weight_map": {"a": "../elsewhere.safetensors"}}'])
def test_a_damaged_index_is_named(folder, text):
    (folder / "model.safetensors.index.json").write_text(text)
    assert "model.safetensors.index.json is damaged" in refused(folder)


def test_an_unknown_model_type_is_told_with_the_nearest_one(folder):
    change_config(folder, model_type="llama4")
    told = refused(folder)
    assert "model_type 'llama4' is not supported; the nearest is 'llama'" in told
    assert all(name in told for name in FAMILIES)


@pytest.mark.parametrize("value", ["removed", 7, ""])
def test_a_config_without_a_model_type_is_no_model(folder, value):
    change_config(folder, model_type=value)
    assert "has no model_type" in refused(folder)


def test_config_json_has_to_be_there_and_to_be_json(folder):
    path = folder / "config.json"
    path.write_text("{'a': 1}")
    assert "config.json is not JSON" in refused(folder)
    path.write_text("[1]")
    assert "holds no JSON object" in refused(folder)
    path.unlink()
    assert "config.json does not exist" in refused(folder)
    (folder / "adapter_config.json").write_text("{}")
    assert "adapter" in refused(folder)


def test_all_keys_that_are_missing_or_wrong_are_told_at_once(folder):
    change_config(folder, hidden_size="removed", num_hidden_layers="3", rms_norm_eps=-1, tie_word_embeddings=1)
    told = refused(folder)
    assert "hidden_size is missing" in told
    assert "num_hidden_layers = '3' has to be a whole number from 1 on" in told
    assert "rms_norm_eps = -1 has to be a number above zero" in told
    assert "tie_word_embeddings = 1 has to be true or false" in told


def test_a_key_that_nobody_knows_is_refused_unless_it_says_nothing(folder):
    change_config(folder, use_new_trick=False, other_trick=None)
    load_hugging_face(folder, Reporter(quiet=True))
    change_config(folder, use_new_trick=True)
    assert "use_new_trick = True is not known" in refused(folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling.type = 'dynamic' is not supported"),
        (
            {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}},
            "rope_parameters.rope_type = 'longrope' is not supported",
        ),
        ({"rope_parameters": {"rope_type": "linear"}}, "rope_parameters.factor is missing"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 0.5}}, "greater than or equal to 1"),
        ({"rope_parameters": {"rope_type": "default", "mrope_section": [1]}}, "rope_parameters.mrope_section = [1]"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5 is not supported"),
        ({"rope_interleaved": True}, "rope_interleaved = True is not supported"),
        ({"hidden_act": "mish"}, "hidden_act = 'mish' is not supported"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantized weights"),
        ({"num_attention_heads": 5}, "hidden_size 32 is not a multiple of num_attention_heads 5"),
        ({"num_key_value_heads": 3}, "n_heads 4 is not a multiple of n_kv_heads 3"),
        ({"num_key_value_heads": 0}, "num_key_value_heads = 0 has to be a whole number from 1 on"),
        ({"head_dim": 7}, "rope turns pairs of elements"),
        ({"vocab_size": True}, "vocab_size = True has to be a whole number"),
        ({"model_type": "mistral", "sliding_window": 0}, "sliding_window = 0 has to be a whole number from 1 on"),
        ({"model_type": "gemma2", "layer_types": ["chunked_attention"] * 3}, "layer_types has to hold"),
        ({"model_type": "gemma2", "final_logit_softcapping": 0.0}, "final_logit_softcapping = 0"),
        ({"model_type": "gemma3_text", "attn_logit_softcapping": 50.0}, "attn_logit_softcapping = 50.0"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "use_bidirectional_attention = True"),
        ({"model_type": "mixtral", "num_experts_per_tok": 9}, "top_k 9 is more than n_experts 8"),
        ({"model_type": "qwen3_moe", "decoder_sparse_step": 2}, "decoder_sparse_step = 2 is not supported"),
        ({"model_type": "qwen3_moe", "mlp_only_layers": [1]}, "mlp_only_layers = [1] is not supported"),
        ({"model_type": "deepseek_v3", "rms_norm_eps": 1e-5}, "rms_norm_eps = 1e-05 is not supported"),
        ({"model_type": "deepseek_v3", "attention_bias": True}, "attention_bias = True is not supported"),
        ({"model_type": "deepseek_v2", "norm_topk_prob": True}, "norm_topk_prob = True is not supported"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_computed_exactly_is_refused_by_name(folder, values, said):
    change_config(folder, **values)
    assert said in refused(folder)


def test_a_gpt2_that_scales_by_layer_is_refused(tmp_path):
    folder = save_model("gpt2", tmp_path).folder
    change_config(folder, scale_attn_by_inverse_layer_idx=True, scale_attn_weights=False)
    told = refused(folder)
    assert "scale_attn_by_inverse_layer_idx = True is not supported" in told
    assert "scale_attn_weights = False is not supported" in told


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder):
    def change(tensors: _Weights) -> None:
        for name in ("lm_head.weight", "model.embed_tokens.weight"):
            tensors[name] = tensors[name][:500]

    change_weights(folder, change)
    change_config(folder, vocab_size=500)
    assert "the tokenizer has 640 tokens, and the model embeddings for 500" in refused(folder)


def test_a_folder_without_a_tokenizer_is_told(folder):
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json" in refused(folder)
