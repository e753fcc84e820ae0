import json
import subprocess
import sys
import time

import pytest

from groundup.model.preset import load_preset, preset_names
from tiny_project import call_groundup, run_groundup, write_project

PRESET = """
# A model of one's own.
vocab_size = 1000
[model]
preset = "gpt2"
n_layers = 2
"""


def test_the_largest_model_is_counted_at_once():
    start = time.perf_counter()
    found = run_groundup("params", "deepseek-v3", "--json")
    seconds = time.perf_counter() - start
    assert (found.json["total"], found.json["active"]) == (671_026_419_200, 37_552_297_472)
    assert seconds < 2, "half a second where nothing else runs"


@pytest.mark.parametrize("words", [[], ["mixtral-8x7b"], ["tiny.toml"]], ids=["list", "preset", "recipe"])
def test_counting_does_not_import_torch(tmp_path, words):
    write_project(tmp_path)
    code = (
        "import sys\nfrom groundup.cli.app import main\n"
        f"try: main(['params', *{words}])\nexcept SystemExit as left: assert left.code == 0\n"
        "assert not {'torch', 'numpy', 'tokenizers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_model_is_told_to_people_and_to_machines(capsys):
    found = call_groundup(capsys, "params", "mixtral-8x7b", "--seq-len", "4096", "--json").json
    assert (found["total"], found["active"], found["embedding"]) == (46_702_792_704, 12_879_925_248, 131_072_000)
    assert sum(found["parts"].values()) == found["total"]
    assert found["kv_bytes_per_token"] == 2 * 32 * 8 * 128 * 2
    assert found["weight_bytes"]["bf16"] == 2 * found["total"]
    weights = found["active"] - found["embedding"] - found["parts"]["norms"]
    assert found["flops_per_token"] == 6 * weights + 6 * 32 * 4096 * 4096 == 3 * found["generation_flops_per_token"]
    told = call_groundup(capsys, "params", "mixtral-8x7b", "--seq-len", "4096").out
    assert all(words in told for words in ("46,702,792,704", "12,879,925,248", "27.6%", "131 kB in bf16", "Apache-2.0"))


def test_all_presets_are_listed(capsys):
    told = call_groundup(capsys, "params").out.splitlines()
    assert [line.split()[0] for line in told[1:]] == preset_names()
    listed = call_groundup(capsys, "params", "--json").json["presets"]
    assert next(row["total"] for row in listed if row["model"] == "gpt2-xl") == 1_557_611_200


def test_dtype_and_vocabulary_are_taken_as_given(capsys):
    plain = call_groundup(capsys, "params", "gpt2", "--json").json
    other = call_groundup(capsys, "params", "gpt2", "--dtype", "fp32", "--vocab-size", "50304", "--json").json
    assert other["kv_bytes_per_token"] == 2 * plain["kv_bytes_per_token"]
    assert other["total"] - plain["total"] == 47 * 768


def test_a_recipe_a_preset_of_ones_own_and_a_run_are_counted(capsys, tmp_path, project):
    run = project[0] / "runs" / "tiny"
    stages = call_groundup(capsys, "show", run, "--json").json["stages"]
    trained = next(stage["facts"] for stage in stages if stage["name"] == "pretrain")
    for source in (run, project[0] / "tiny.toml", write_project(tmp_path)):
        assert call_groundup(capsys, "params", source, "--json").json["total"] == trained["parameters"]
    own = tmp_path / "own.toml"
    own.write_text(PRESET)
    gpt2 = call_groundup(capsys, "params", "gpt2", "--json").json
    counted = call_groundup(capsys, "params", own, "--json").json
    assert counted["total"] == gpt2["total"] - 10 * 7_087_872 - 49_257 * 768


def test_a_folder_of_hugging_face_is_counted_without_its_weights(capsys, tmp_path):
    from groundup.interop.hugging_face.families import FAMILIES

    written = FAMILIES["mixtral"].write(load_preset("mixtral-8x7b").config, 32_000)
    (tmp_path / "config.json").write_text(json.dumps(written))
    assert call_groundup(capsys, "params", tmp_path, "--json").json["active"] == 12_879_925_248


def test_a_run_that_has_no_model_yet_is_counted_by_its_recipe(capsys, tmp_path, project):
    kept = tmp_path / "run"
    kept.mkdir()
    (kept / "recipe.json").write_bytes((project[0] / "runs" / "tiny" / "recipe.json").read_bytes())
    finished = call_groundup(capsys, "params", project[0] / "runs" / "tiny", "--json").json
    assert call_groundup(capsys, "params", kept, "--json").json["total"] == finished["total"]


def mistake(capsys, *words):
    found = call_groundup(capsys, "params", *words, "--json")
    assert found.code == 2 and found.err.count("\n") == 1
    return found.json


def test_what_cannot_be_counted_is_told(capsys, tmp_path):
    assert mistake(capsys, "lama-3-8b")["error"] == "no preset is called 'lama-3-8b'; did you mean 'llama-3-8b'?"
    assert mistake(capsys, tmp_path)["error"] == f"{tmp_path} holds no model"
    assert "does not exist" in mistake(capsys, tmp_path / "none.toml")["error"]
    assert mistake(capsys, "gpt2", "--dtype", "int8")["hint"] == "choose one of bf16, fp16, fp32"
    assert "is not a length" in mistake(capsys, "gpt2", "--seq-len", "0")["error"]
    assert "is no number of tokens" in mistake(capsys, "gpt2", "--vocab-size", "0")["error"]
    (tmp_path / "model.gguf").write_bytes(b"GGUF\xff")
    assert mistake(capsys, tmp_path / "model.gguf")["error"] == f"{tmp_path / 'model.gguf'} is no TOML file"
    assert mistake(capsys, tmp_path / "there")["error"] == f"{tmp_path / 'there'} does not exist"
    (tmp_path / "config.json").write_text('{"model_type": "lama"}')
    assert "the nearest is 'llama'" in mistake(capsys, tmp_path)["error"]
    for broken in ("[]", '{"model": {"n_layers": "two"}, "vocab_size": 9}', '{"model": {}}'):
        (tmp_path / "config.json").write_text(broken)
        assert "does not describe a model" in mistake(capsys, tmp_path)["error"]
    (tmp_path / "config.json").write_text("{")
    assert "is damaged" in mistake(capsys, tmp_path)["error"]


def test_mistakes_in_a_preset_of_ones_own_are_told_in_their_place(capsys, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text("vocab_size = 0\n[model]\nn_layer = 2\n")
    found = call_groundup(capsys, "params", own, "--json").json["error"]
    assert found.splitlines() == [
        f"{own}:1:1: vocab_size: input should be greater than or equal to 1, not 0",
        f"{own}:3:1: model.n_layer: unknown key; did you mean 'n_layers'?",
    ]


def test_a_recipe_with_a_vocabulary_of_another_needs_its_size(capsys, tmp_path):
    path = write_project(tmp_path)
    path.write_text(path.read_text().replace("vocab_size = 400", 'path = "tokenizer.json"'))
    assert mistake(capsys, path)["hint"] == "say how large it is with --vocab-size"
    assert call_groundup(capsys, "params", path, "--vocab-size", "400", "--json").json["vocab_size"] == 400
