from mmap import ACCESS_READ, mmap

import pytest
import torch
from gguf_models import KINDS, MODELS, QUIET, gguf_model, written

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.interop.gguf import load_gguf, quantized_copy, save_gguf
from groundup.interop.gguf.architectures import choose_architecture
from groundup.interop.gguf.header import read_header
from groundup.interop.gguf.quantized import read_tensor
from groundup.model.build import build_model
from groundup.model.parts import RopeScaling
from model_kinds import model_of
from taught_model import small_tokenizer

IDS_BT = torch.arange(4 * 24).remainder(89).view(4, 24)


@torch.inference_mode()
def logits(model):
    return model(IDS_BT)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_read_back_as_it_was_written(name, tmp_path):
    expected, changes = MODELS[name]
    model, path = gguf_model(changes), tmp_path / "model.gguf"
    for kind in KINDS if model.config.n_layers < 8 else ("f32", "q8_0"):
        save_gguf(model, small_tokenizer(), path, kind, reporter=QUIET)
        again = load_gguf(path, QUIET)
        assert (again.family, again.source) == (expected, str(path))
        torch.testing.assert_close(logits(again.model), logits(quantized_copy(model, kind)), rtol=1e-5, atol=2e-5)
        if kind == "f32":
            torch.testing.assert_close(logits(again.model), logits(model), rtol=1e-5, atol=1e-5)
            assert choose_architecture(again.model.config).name == expected
        assert again.dtype == kind.upper() or kind in ("q8_0", "q4_0")


@pytest.mark.parametrize(("kind", "limit"), [("f16", 0.01), ("bf16", 0.06), ("q8_0", 0.1), ("q4_0", 1.0)])
def test_rounding_costs_what_its_bits_cost(kind, limit):
    model = gguf_model({})
    exact, rounded = logits(model), logits(quantized_copy(model, kind))
    drift = (exact - rounded).std() / exact.std()
    assert limit / 40 < drift < limit


def test_a_tied_matrix_is_stored_once(tmp_path):
    assert "output.weight" not in read_header(written(tmp_path, "the quickstart's")).tensors
    assert "output.weight" in read_header(written(tmp_path, "llama")).tensors


def test_each_tensor_is_stored_in_the_type_that_suits_it(tmp_path):
    odd = {"d_ff": 80, "moe": None, "qk_norm": True}
    save_gguf(gguf_model(odd), small_tokenizer(), tmp_path / "odd.gguf", "q4_0", reporter=QUIET)
    types = {name: stored.type.name for name, stored in read_header(tmp_path / "odd.gguf").tensors.items()}
    assert types["token_embd.weight"] == "Q8_0"
    assert types["blk.0.attn_q.weight"] == types["blk.0.ffn_up.weight"] == "Q4_0"
    assert types["blk.0.ffn_down.weight"] == "F16"  # 80 is no whole number of blocks of 32
    assert types["blk.0.attn_norm.weight"] == types["blk.0.attn_q_norm.weight"] == "F32"
    experts = read_header(written(tmp_path, "mixtral", "q8_0")).tensors
    assert experts["blk.0.ffn_gate_inp.weight"].type.name == "F32"
    assert experts["blk.0.ffn_up_exps.weight"].type.name == "Q8_0"


def test_queries_and_keys_of_llama_lie_in_pairs_in_the_file_and_in_halves_in_the_model(tmp_path):
    path = written(tmp_path, "llama")
    model = gguf_model(MODELS["llama"][1])
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        stored = read_tensor(data, read_header(path).tensors["blk.0.attn_k.weight"])
    own = model.blocks[0].attention.k.weight
    size = model.config.head_size
    for head in range(model.config.kv_heads):
        for pair in range(size // 2):
            row = head * size
            assert torch.equal(stored[row + 2 * pair], own[row + pair])
            assert torch.equal(stored[row + 2 * pair + 1], own[row + pair + size // 2])
    loaded = load_gguf(path, QUIET).model
    assert loaded.config.rope_pairing == "half"
    assert torch.equal(loaded.blocks[0].attention.k.weight, own)


@pytest.mark.parametrize("factor", [8.0, 32.0])
@pytest.mark.parametrize(("low", "high", "original"), [(1.0, 4.0, 8192), (1.0, 8.0, 4096), (2.0, 4.0, 2048)])
def test_the_scaling_of_llama_3_is_found_again_in_its_factors(factor, low, high, original, tmp_path):
    scaling = RopeScaling(
        method="llama-3",
        factor=factor,
        original_max_seq_len=original,
        low_freq_factor=low,
        high_freq_factor=high,
    )
    changes = {"qk_norm": False, "head_dim": 64, "rope_theta": 5e5, "rope_scaling": scaling}
    model, path = gguf_model(changes), tmp_path / "model.gguf"
    save_gguf(model, small_tokenizer(), path, "f32", reporter=QUIET)
    again = load_gguf(path, QUIET).model
    found = again.config.rope_scaling
    assert found.factor == factor
    # Ratios of the three are all that matters.
    assert found.high_freq_factor / found.low_freq_factor == pytest.approx(high / low)
    assert found.original_max_seq_len / found.low_freq_factor == pytest.approx(original / low)
    torch.testing.assert_close(again.position.frequencies_r, model.position.frequencies_r, rtol=1e-6, atol=0)


IMPOSSIBLE = {
    "position": {"position": "alibi"},
    "attention_softcap = 5.0": {"attention_softcap": 5.0},
    "attention_sinks = True": {"attention_sinks": True},
    "window = 8": {"window": 8},
    "norm = layernorm": {"norm": "layernorm"},
    "residual = parallel": {"residual": "parallel"},
    "feedforward = relu2": {"feedforward": "relu2"},
    "logit_scale = 0.5": {"logit_scale": 0.5},
    "attention_scale = 0.3": {"attention_scale": 0.3},
    "rope.dimension_count is 8": {"rope_fraction": 0.5},
    "moe.scoring = sigmoid": {"moe": MODELS["qwen 3, experts"][1]["moe"].model_copy(update={"scoring": "sigmoid"})},
    "moe.n_shared = 1": {"moe": MODELS["qwen 3, experts"][1]["moe"].model_copy(update={"n_shared": 1})},
    "rope_theta and rope_scaling": {
        "rope_scaling": RopeScaling(method="yarn", factor=4.0, original_max_seq_len=4096, beta_fast=4.0)
    },
    "window_pattern = LLLG": MODELS["gemma 3"][1] | {"window_pattern": "LLLG", "n_layers": 4},
    "rope_local_theta": MODELS["gemma 3"][1]
    | {"rope_local_theta": 0.0, "rope_scaling": RopeScaling(method="linear", factor=2.0)},
    "rope_pairing = half": MODELS["deepseek 3"][1] | {"rope_pairing": "half"},
    "q_lora_rank is none": MODELS["deepseek 2 lite"][1] | {"n_layers": 3},
    "groups differently": MODELS["deepseek 3"][1]
    | {"moe": MODELS["deepseek 3"][1]["moe"].model_copy(update={"n_groups": 4, "top_groups": 2, "scoring": "softmax"})},
}


@pytest.mark.parametrize("reason", IMPOSSIBLE)
def test_what_no_architecture_computes_is_refused_by_name(reason, tmp_path):
    model = gguf_model(IMPOSSIBLE[reason])
    with pytest.raises(UserError, match=r"llama\.cpp") as error:
        save_gguf(model, small_tokenizer(), tmp_path / "model.gguf", "f16", reporter=QUIET)
    assert reason in error.value.message
    assert not list(tmp_path.iterdir())


def test_a_recurrent_model_is_refused_by_its_kind(tmp_path):
    with pytest.raises(UserError, match="no architecture for a model of kind lstm"):
        save_gguf(model_of("lstm"), small_tokenizer(), tmp_path / "model.gguf", "f16", reporter=QUIET)


def test_modules_that_predict_ahead_are_left_out_with_a_warning(tmp_path, capsys):
    model = gguf_model({"n_predict": 1})
    save_gguf(model, small_tokenizer(), tmp_path / "model.gguf", "f32", reporter=Reporter())
    assert "predict tokens further ahead are left out" in capsys.readouterr().err
    torch.testing.assert_close(logits(load_gguf(tmp_path / "model.gguf", QUIET).model), logits(model))


def test_numbers_that_f16_cannot_hold_are_refused_and_nothing_is_left(tmp_path):
    model = gguf_model({})
    model.blocks[1].feedforward.up.weight.data[3, 4] = 1e6
    for kind in ("f16", "q8_0", "q4_0"):
        with pytest.raises(UserError, match=r"blk.1.ffn_up.weight has numbers beyond ±65504.*export it as bf16"):
            save_gguf(model, small_tokenizer(), tmp_path / "model.gguf", kind, reporter=QUIET)
    assert not list(tmp_path.iterdir())
    save_gguf(model, small_tokenizer(), tmp_path / "model.gguf", "bf16", reporter=QUIET)


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no GGUF kind 'q2_k'.*q8_0"):
        save_gguf(gguf_model({}), small_tokenizer(), tmp_path / "m.gguf", "q2_k", reporter=QUIET)  # type: ignore


def test_rows_of_the_embedding_without_a_token_become_unused_tokens(tmp_path):
    tokenizer = small_tokenizer()
    model = build_model(gguf_model({}).config, tokenizer.vocab_size + 8)
    save_gguf(model, tokenizer, tmp_path / "model.gguf", "f32", reporter=QUIET)
    header = read_header(tmp_path / "model.gguf")
    assert len(header.metadata["tokenizer.ggml.tokens"]) == model.vocab_size
    assert header.metadata["tokenizer.ggml.token_type"][-8:] == [5] * 8
    assert load_gguf(tmp_path / "model.gguf", QUIET).model.vocab_size == model.vocab_size


def test_a_vocabulary_larger_than_the_embedding_is_refused(tmp_path):
    model = build_model(gguf_model({}).config, 200)
    with pytest.raises(UserError, match="tokenizer has 280 tokens, the model embeddings for 200"):
        save_gguf(model, small_tokenizer(), tmp_path / "model.gguf", "f32", reporter=QUIET)
