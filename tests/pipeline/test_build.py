import json
import shutil

import pytest

from groundup.core.errors import UserError
from groundup.core.files import folder_lock, read_json, write_json
from groundup.pipeline.artifact import read_artifact
from groundup.pipeline.lineage import describe_run
from groundup.pipeline.run import load_run

STAGES = ["data", "tokenizer", "tokens", "pretrain", "sft", "eval"]


def statuses(result):
    return {stage.name: stage.status for stage in result.stages}


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("builds")


@pytest.fixture
def run(build_tiny, module_folder):
    """A finished run of the tiny recipe, made once; the recipe lies elsewhere for each test."""
    folder = module_folder / "run"
    if not folder.exists():
        assert set(statuses(build_tiny(folder)).values()) == {"built"}
    return folder


@pytest.fixture
def copied(run, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(run, tmp_path / "copy")


def test_a_recipe_becomes_a_model_with_its_report(run):
    description = describe_run(run)
    assert [stage["name"] for stage in description["stages"]] == STAGES
    scores = read_json(run / "eval" / "scores.json")["bits_per_byte"]
    assert set(scores) == {"pretrain", "sft", "xz", "bzip2", "ngram"}
    assert all(0 < score < 12 for score in scores.values())
    assert "<html" in (run / "report.html").read_text()
    assert load_run(run)[2] == "sft"
    assert load_run(run, "pretrain")[2] == "pretrain"


def test_lineage_reaches_from_the_weights_to_the_documents(run):
    manifests = {name: read_artifact(run / name).manifest for name in STAGES}
    for manifest in manifests.values():
        for name, digest in manifest.inputs.items():
            assert manifests[name].hash == digest
    assert set(manifests["sft"].inputs) == {"data", "tokenizer", "pretrain"}
    assert set(manifests["pretrain"].inputs) == {"tokenizer", "tokens"}


def test_what_is_up_to_date_is_skipped(copied, build_tiny):
    assert set(statuses(build_tiny(copied)).values()) == {"skipped"}


def test_a_change_runs_what_depends_on_it_and_nothing_else(copied, build_tiny):
    found = statuses(build_tiny(copied, "--sft.lr", "0.01"))
    assert found == dict.fromkeys(STAGES[:4], "skipped") | {"sft": "built", "eval": "built"}


def test_later_stages_are_skipped_where_the_content_came_out_the_same(copied, build_tiny):
    found = statuses(build_tiny(copied, "--data.max_rejected", "0.2"))
    assert found == {name: "built" if name == "data" else "skipped" for name in STAGES}


def test_a_build_stops_after_the_stage_that_was_named(tmp_path, build_tiny):
    result = build_tiny(tmp_path / "run", until="tokens")
    assert [stage.name for stage in result.stages] == STAGES[:3]
    assert result.bits_per_byte is None
    with pytest.raises(UserError, match="no such stage"):
        build_tiny(tmp_path / "run", until="train")
    with pytest.raises(UserError, match="holds no finished model"):
        load_run(tmp_path / "run")


def test_a_second_build_on_the_same_folder_is_refused(copied, build_tiny):
    with folder_lock(copied), pytest.raises(UserError, match="another build"):
        build_tiny(copied)


def test_a_folder_of_another_run_is_refused(copied, build_tiny):
    with pytest.raises(UserError, match="holds the run 'tiny', not 'other'"):
        build_tiny(copied, "--name", "other")


def test_an_artifact_of_a_newer_version_is_refused(copied, build_tiny):
    manifest = read_json(copied / "tokens" / "manifest.json")
    write_json(copied / "tokens" / "manifest.json", manifest | {"format": 99, "groundup": "9.0"})
    with pytest.raises(UserError, match=r"written by groundup 9\.0 \(format 99\)"):
        build_tiny(copied)


def test_a_damaged_input_is_refused_by_name(copied, build_tiny):
    path = copied / "pretrain" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-7] ^= 4
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        build_tiny(copied, "--sft.lr", "0.01")
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_run(copied, "pretrain")


def test_decisions_of_another_run_are_taken_over(run, tmp_path, build_tiny):
    manifest = read_json(run / "pretrain" / "manifest.json")
    example = shutil.copytree(run, tmp_path / "example")
    write_json(example / "pretrain" / "manifest.json", manifest | {"decisions": manifest["decisions"] | {"steps": 2}})
    result = build_tiny(tmp_path / "again", "--pretrain.minutes", "5", until="pretrain", same_as=example)
    assert result.artifacts["pretrain"].manifest.facts["steps"] == 2


def test_the_json_names_what_was_done(copied, build_tiny):
    result = build_tiny(copied).as_json()
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {"run", "stages", "bits_per_byte", "train_seconds"}
    assert set(result["stages"][0]) == {"name", "status", "seconds"}
    assert result["bits_per_byte"] > 0
    assert result["train_seconds"] > 0


def test_two_builds_are_equal_to_the_bit(run, tmp_path, build_tiny):
    again = build_tiny(tmp_path / "again", until="sft")
    for stage in ("tokenizer", "tokens", "pretrain", "sft"):
        assert again.artifacts[stage].manifest.hash == read_artifact(run / stage).manifest.hash


def test_a_sequence_longer_than_the_corpus_is_refused(tmp_path, build_tiny):
    with pytest.raises(UserError, match="tokens in its longest shard"):
        build_tiny(tmp_path / "run", "--model.max_seq_len", "1000000", "--pretrain.global_batch_tokens", "1000000")
    assert not (tmp_path / "run" / "pretrain").exists()
