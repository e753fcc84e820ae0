"""What is written into a folder of Hugging Face, and layouts of folders that others write."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from foreign_tokenizers import TEXT, write_tokenizer
from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.interop.hugging_face.load import load_hugging_face
from groundup.interop.hugging_face.save import rounded_copy, save_hugging_face
from groundup.interop.loaded import Loaded
from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.parts import LatentConfig, MoeConfig, RopeScaling
from groundup.tokenizer.config import TokenizerConfig
from groundup.tokenizer.open import open_tokenizer
from groundup.tokenizer.tokenizer import Tokenizer
from groundup.tokenizer.train import train_bpe
from hugging_face_models import VOCABULARY, save_model, theirs, transformers

_QUIET = Reporter(quiet=True)
_SMALL: dict[str, Any] = {"n_layers": 2, "d_model": 32, "n_heads": 4, "d_ff": 48, "max_seq_len": 64}
_TEXTS = ("Héllo wörld, 1234!", "  def f(x):\n\treturn x", "日本語 ☕ <|endoftext|>", "a\u0301 \u200b \x00", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("llama") / "model").folder


@pytest.fixture(scope="module")
def loaded(folder) -> Loaded:
    return load_hugging_face(folder, _QUIET)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(640, (2, 30), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def ours(tmp_path):
    """A model of ours of a config, with the tokenizer of Qwen, which needs no token in front."""
    tokenizer = open_tokenizer(write_tokenizer("qwen2", tmp_path / "tokenizer", 640), _QUIET)

    def make(**fields: Any) -> Loaded:
        config = ModelConfig(**_SMALL, **{"zero_init_output": False, **fields})
        return Loaded(initialize(build_model(config, VOCABULARY), 0), tokenizer, "", "float32", "")

    return make


def write(loaded: Loaded, folder: Path, dtype: str = "fp32", **options: Any) -> Path:
    save_hugging_face(loaded.model, loaded.tokenizer, folder, dtype=dtype, reporter=_QUIET, **options)
    return folder


def difference(loaded: Loaded, folder: Path, tokens: Tensor) -> float:
    """Between our logits and those of transformers for what was written."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return (loaded.model(tokens) - theirs(model, tokens)).abs().max().item()


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n_kv_heads": 2, "tie_embeddings": False, "head_dim": 12},
        {"window": 5, "window_pattern": "LG"},
        {"qk_norm": False, "feedforward": "bilinear"},
        {"rope_scaling": RopeScaling(method="ntk", factor=4.0)},
        {"moe": MoeConfig(n_experts=4, dense_layers=1, d_expert=24)},
        {"qk_norm": False, "moe": MoeConfig(n_experts=4, d_expert=24), "window": 6},
        {"residual": "sandwich", "embedding_scale": 32**0.5, "attention_scale": 0.2, "window": 5, "rope_theta": 100.0},
    ],
    ids=str,
)
def test_a_model_of_ours_gives_its_logits_in_transformers(ours, fields, tokens, tmp_path):
    made = ours(**fields)
    assert difference(made, write(made, tmp_path / "out"), tokens) < 1e-4


def test_a_model_in_shards_is_the_same_model(loaded, folder, tokens, tmp_path):
    out = write(loaded, tmp_path / "out", max_shard_bytes=40_000)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in out.glob("*.safetensors"))
    assert shards == [f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)]
    assert len(shards) > 4
    assert set(index["weight_map"].values()) == set(shards)
    held = [load_file(out / shard) for shard in shards]
    assert index["metadata"]["total_size"] == sum(t.nbytes for tensors in held for t in tensors.values())
    assert all(len(tensors) == 1 or sum(t.nbytes for t in tensors.values()) <= 40_000 for tensors in held)
    assert difference(loaded, out, tokens) < 1e-4
    with torch.inference_mode():
        again = load_hugging_face(out, _QUIET).model(tokens)
        assert torch.equal(again, loaded.model(tokens))


@pytest.mark.parametrize(("dtype", "stored", "named"), [("bf16", "BF16", "bfloat16"), ("fp16", "F16", "float16")])
def test_weights_are_stored_in_the_type_asked_for(loaded, dtype, stored, named, tmp_path):
    out = write(loaded, tmp_path / "out", dtype)
    with safe_open(out / "model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {stored}  # noqa: SIM118
        assert file.metadata() == {"format": "pt"}
    again = load_hugging_face(out, _QUIET)
    assert again.dtype == named
    rounded = loaded.model.embedding.weight.to(getattr(torch, named)).float()
    assert torch.equal(again.model.embedding.weight, rounded)
    assert transformers.AutoModelForCausalLM.from_pretrained(out).dtype == getattr(torch, named)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3", "mixtral", "deepseek v3"])
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_what_is_read_back_is_the_model_with_its_weights_rounded(name, dtype, tokens, tmp_path):
    made = load_hugging_face(save_model(name, tmp_path / "model").folder, _QUIET)
    again = load_hugging_face(write(made, tmp_path / "out", dtype), _QUIET)
    rounded = rounded_copy(made.model, dtype)
    with torch.inference_mode():
        assert torch.equal(again.model(tokens), rounded(tokens))
        assert not torch.equal(rounded(tokens), made.model(tokens))


def test_the_bias_of_a_router_keeps_its_precision(tmp_path):
    made = load_hugging_face(save_model("deepseek v3", tmp_path / "model").folder, _QUIET)
    out = write(made, tmp_path / "out", "bf16")
    again = load_hugging_face(out, _QUIET).model
    assert torch.equal(again.blocks[1].feedforward.router.bias, made.model.blocks[1].feedforward.router.bias)


def test_a_router_without_a_bias_is_written_with_one_of_zero(ours, tmp_path):
    latent = LatentConfig(kv_rank=16, nope_head_dim=8, rope_head_dim=8, v_head_dim=8)
    moe = MoeConfig(n_experts=4, n_shared=1, d_expert=24, scoring="sigmoid", balance="loss")
    made = ours(latent=latent, moe=moe)
    tensors = load_file(write(made, tmp_path / "out") / "model.safetensors")
    assert torch.equal(tensors["model.layers.0.mlp.gate.e_score_correction_bias"], torch.zeros(4))
    with torch.inference_mode():
        tokens = torch.arange(30)[None]
        assert torch.equal(load_hugging_face(tmp_path / "out", _QUIET).model(tokens), made.model(tokens))


def test_a_number_that_fp16_does_not_hold_is_refused(ours, tmp_path):
    made = ours()
    with torch.no_grad():
        made.model.blocks[1].attention.q.weight[3, 3] = 1e5
    with pytest.raises(UserError, match=r"layers.1.self_attn.q_proj.weight holds numbers that .*float16 does not"):
        write(made, tmp_path / "out", "fp16")
    assert not (tmp_path / "out" / "config.json").exists()


def test_a_tied_head_is_stored_once(ours, tmp_path):
    out = write(ours(), tmp_path / "out")
    assert "lm_head.weight" not in load_file(out / "model.safetensors")
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_folder_that_holds_something_is_left_alone(ours, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write(ours(), tmp_path)


def test_modules_that_predict_ahead_are_left_out_with_a_warning(ours, tokens, tmp_path, capsys):
    made = ours(n_predict=1)
    save_hugging_face(made.model, made.tokenizer, tmp_path / "out", dtype="fp32", reporter=Reporter())
    assert "without the 1 modules that predict ahead" in capsys.readouterr().err
    assert difference(made, tmp_path / "out", tokens) < 1e-4


@pytest.mark.parametrize("family", ["gpt2", "llama3", "qwen2", "mistral", "gemma"])
def test_the_tokenizer_is_written_with_the_ids_of_transformers(ours, family, tmp_path):
    source = write_tokenizer(family, tmp_path / "source", 640)
    made = Loaded(ours().model, open_tokenizer(source, _QUIET), "", "float32", "")
    out = write(made, tmp_path / "out")
    original, again = (transformers.AutoTokenizer.from_pretrained(path) for path in (source, out))
    for text in _TEXTS:
        ids = again(text, add_special_tokens=False).input_ids
        assert ids == original(text, add_special_tokens=False).input_ids
        assert ids == made.tokenizer.encode(text, allow_special=True)
    generation = transformers.GenerationConfig.from_pretrained(out)
    ends = generation.eos_token_id
    assert set(ends if isinstance(ends, list) else [ends]) == made.tokenizer.end_ids
    assert generation.bos_token_id == made.tokenizer.bos_id
    config = transformers.AutoConfig.from_pretrained(out)
    assert (config.bos_token_id, config.eos_token_id) == (again.bos_token_id, again.eos_token_id)
    if original.chat_template:
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
        assert again.apply_chat_template(messages, tokenize=False) == original.apply_chat_template(
            messages, tokenize=False
        )


def test_a_tokenizer_of_ours_is_one_of_transformers(ours, tmp_path):
    source = train_bpe(TokenizerConfig(vocab_size=512), [TEXT], 10**6, _QUIET)
    made = Loaded(ours().model, Tokenizer(source, eos_token="<|im_end|>"), "", "float32", "")
    out = write(made, tmp_path / "out")
    again = transformers.AutoTokenizer.from_pretrained(out)
    for text in (*_TEXTS, TEXT):
        assert again(text).input_ids == made.tokenizer.encode(text, allow_special=True)
    assert again.eos_token == "<|im_end|>"
    generation = transformers.GenerationConfig.from_pretrained(out)
    assert generation.eos_token_id == [made.tokenizer.im_end_id, made.tokenizer.eot_id]
    assert generation.pad_token_id == made.tokenizer.pad_id
    read = load_hugging_face(out, _QUIET).tokenizer
    assert isinstance(read, Tokenizer)
    assert read.hash == made.tokenizer.hash


def test_old_files_of_gpt2_with_buffers_and_without_prefix_are_read(tmp_path, tokens):
    made = save_model("gpt2", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 96, 96).tril()
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(tensors, path)
    with torch.inference_mode():
        given = load_hugging_face(tmp_path, _QUIET).model(tokens)
    assert (given - theirs(made.model, tokens)).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["mixtral", "deepseek v3", "qwen3 with experts"])
def test_experts_in_one_tensor_are_read_as_well(name, tmp_path, tokens):
    made = save_model(name, tmp_path / "model")
    made.model.save_pretrained(tmp_path / "fused", save_original_format=False)
    names = load_file(tmp_path / "fused" / "model.safetensors").keys()
    assert any(key.endswith("experts.gate_up_proj") for key in names)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / "fused" / file).write_bytes((made.folder / file).read_bytes())
    with torch.inference_mode():
        given = load_hugging_face(tmp_path / "fused", _QUIET).model(tokens)
    assert (given - theirs(made.model, tokens)).abs().max() < 1e-4


def test_modules_of_deepseek_that_predict_ahead_are_left_out(tmp_path):
    made = save_model("deepseek v3", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    ahead = {
        name.replace("layers.2.", "layers.3."): tensor.clone() for name, tensor in tensors.items() if ".2." in name
    }
    save_file(tensors | ahead | {"model.layers.3.eh_proj.weight": torch.ones(32, 64)}, path)
    assert config_of(tmp_path)["num_nextn_predict_layers"] == 1
    loaded = load_hugging_face(tmp_path, _QUIET)
    assert loaded.model.config.n_layers == made.model.config.num_hidden_layers


def test_stored_frequencies_of_old_files_are_passed_over(folder, tmp_path):
    made = save_model("llama", tmp_path)
    path = made.folder / "model.safetensors"
    save_file(load_file(path) | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}, path)
    load_hugging_face(made.folder, _QUIET)


def test_reading_draws_no_random_numbers(folder):
    before = torch.random.get_rng_state()
    load_hugging_face(folder, _QUIET)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_read_says_where_it_is_from(loaded, folder):
    assert (loaded.family, loaded.dtype, loaded.source) == ("llama", "float32", str(folder))
