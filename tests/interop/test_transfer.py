"""Export, import, and the gate between: what is not the same model is not kept."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.generate.config import SamplingConfig
from groundup.generate.engine import Engine
from groundup.interop import transfer
from groundup.interop.hub import download_model
from groundup.interop.imported import ORIGIN, load_imported
from groundup.interop.parity import PROBES, compare_logits, probe_tokens
from groundup.interop.transfer import TYPES, export_model, import_model
from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from taught_model import CPU, TEXT, taught_engine

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def engine():
    return taught_engine()


def export(engine, target, to, dtype=None):
    return export_model(engine.model, engine.tokenizer, target, to, dtype or TYPES[to][0], QUIET)


def continued(model, tokenizer):
    engine = Engine(model, tokenizer, CPU)
    greedy = SamplingConfig(temperature=0, max_new_tokens=80)
    return engine.complete([engine.tokenizer.encode("the quick")], greedy)[0].text


@pytest.mark.parametrize(("to", "dtype"), [(to, dtype) for to, types in TYPES.items() for dtype in types])
def test_what_is_exported_comes_back(engine, to, dtype, tmp_path):
    target = tmp_path / ("out.gguf" if to == "gguf" else "out")
    result = export(engine, target, to, dtype)
    assert result.parameters == sum(p.numel() for p in engine.model.parameters())
    assert result.max_logit_diff < 1e-4
    assert (result.rounding_logit_diff == 0) == (dtype in ("fp32", "f32"))
    back = import_model(str(target), tmp_path / "back", QUIET)
    assert back.max_logit_diff == 0
    loaded = load_imported(tmp_path / "back")
    if dtype in ("fp32", "f32"):
        assert compare_logits(engine.model, loaded.model, engine.tokenizer).max_logit_diff < 1e-5
    if dtype != "q4_0":
        assert continued(loaded.model, loaded.tokenizer) == TEXT[9:]
    assert loaded.tokenizer.end_ids >= {engine.tokenizer.eot_id, engine.tokenizer.im_end_id}
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([target.name, "back"])


def test_an_imported_folder_says_where_it_comes_from(engine, tmp_path):
    export(engine, tmp_path / "out", "hf", "bf16")
    import_model(str(tmp_path / "out"), tmp_path / "back", QUIET)
    origin = json.loads((tmp_path / "back" / ORIGIN).read_text())
    assert origin == {"source": str(tmp_path / "out"), "family": "qwen3", "dtype": "bfloat16"}


def test_drift_is_refused_and_nothing_kept(engine, tmp_path, monkeypatch):
    write = transfer.save_hugging_face

    def write_otherwise(model, tokenizer, folder, **options):
        write(model, tokenizer, folder, **options)
        stored = load_file(folder / "model.safetensors")
        stored["model.layers.1.mlp.up_proj.weight"][3, 5] += 0.5
        save_file(stored, folder / "model.safetensors", {"format": "pt"})

    monkeypatch.setattr(transfer, "save_hugging_face", write_otherwise)
    with pytest.raises(UserError, match="does not compute what the model computes: logits differ by"):
        export(engine, tmp_path / "out", "hf")
    assert list(tmp_path.iterdir()) == []


def test_another_way_to_cut_texts_is_refused_and_nothing_kept(engine, tmp_path, monkeypatch):
    write = transfer.save_hugging_face

    def write_otherwise(model, tokenizer, folder, **options):
        write(model, tokenizer, folder, **options)
        spec = json.loads((folder / "tokenizer.json").read_text())
        spec["model"]["merges"] = spec["model"]["merges"][:-5]
        (folder / "tokenizer.json").write_text(json.dumps(spec))

    monkeypatch.setattr(transfer, "save_hugging_face", write_otherwise)
    with pytest.raises(UserError, match=r"the tokenizer in .* cuts"):
        export(engine, tmp_path / "out", "hf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["hf", "gguf"])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "lstm"}, "lstm"),
        ({"position": "alibi"}, "alibi"),
        ({"feedforward": "relu2"}, "relu2"),
        ({"residual": "parallel"}, "parallel"),
        ({"attention_sinks": True}, "attention_sinks"),
        ({"logit_scale": 0.5}, "logit_scale"),
        ({"mup_base_width": 32}, "attention_scale"),
    ],
)
def test_what_no_architecture_expresses_is_refused_by_name(engine, to, changes, named, tmp_path):
    config = ModelConfig(n_layers=2, d_model=64, n_heads=4, max_seq_len=64).model_copy(update=changes)
    model = initialize(build_model(config, engine.tokenizer.vocab_size), 0)
    with pytest.raises(UserError, match=named):
        export_model(model, engine.tokenizer, tmp_path / "out", to, TYPES[to][0], QUIET)
    assert list(tmp_path.iterdir()) == []


def test_modules_that_predict_ahead_stay_behind_and_that_is_said(engine, tmp_path, capsys):
    config = engine.model.config.model_copy(update={"n_predict": 1})
    model = initialize(build_model(config, engine.model.vocab_size), 0)
    result = export_model(model, engine.tokenizer, tmp_path / "out", "hf", "fp32", Reporter())
    assert result.max_logit_diff < 1e-4
    assert result.parameters == sum(p.numel() for p in engine.model.parameters())
    assert "without the 1 modules that predict ahead" in capsys.readouterr().err


def test_what_exists_is_not_overwritten(engine, tmp_path):
    (tmp_path / "out").mkdir()
    for call in (lambda: export(engine, tmp_path / "out", "hf"), lambda: import_model("x", tmp_path / "out", QUIET)):
        with pytest.raises(UserError, match="exists already"):
            call()


def test_a_type_that_the_format_has_not_is_refused(engine, tmp_path):
    with pytest.raises(UserError, match="gguf files do not store weights as 'fp32'"):
        export(engine, tmp_path / "out", "gguf", "fp32")


def test_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        import_model(str(tmp_path / "nothing"), tmp_path / "out", QUIET)
    with pytest.raises(UserError, match="is not of the form hf:ORG/NAME"):
        download_model("hf:gpt2/../x y", QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_hub_is_fetched_without_code_and_pickles(monkeypatch, tmp_path):
    import huggingface_hub

    asked = {}

    def fetch(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert download_model("hf:some/model", QUIET) == tmp_path
    assert asked["name"] == "some/model"
    assert not any(pattern.endswith((".bin", ".py", ".pt", ".pth", "*")) for pattern in asked["patterns"])


def test_probes_fill_rows_of_any_context(engine):
    assert probe_tokens(engine.model, engine.tokenizer).shape == (4, 64)
    assert len(PROBES) >= 8
    nan = initialize(build_model(engine.model.config, engine.model.vocab_size), 0)
    with torch.no_grad():
        nan.norm.weight.fill_(float("nan"))
    assert not compare_logits(engine.model, nan, engine.tokenizer).holds
