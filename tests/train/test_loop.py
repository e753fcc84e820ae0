import json

import pytest

from tiny_project import call_groundup, write_project

EXPERTS = "n_predict = 1\n[model.moe]\nn_experts = 4\nd_expert = 32\n"


@pytest.mark.parametrize("parts", ["", EXPERTS], ids=["dense", "experts that look ahead"])
def test_each_step_is_recorded_with_what_its_model_has(parts, tmp_path, capsys):
    recipe = write_project(tmp_path, sft=False)
    recipe.write_text(recipe.read_text().replace("max_seq_len = 64\n", "max_seq_len = 64\n" + parts))
    done = call_groundup(capsys, "build", recipe, "--out", tmp_path / "run", "--until", "pretrain")
    assert done.code == 0, done.err
    records = [json.loads(line) for line in (tmp_path / "run" / "pretrain" / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if "loss" in record]
    assert len(steps) == 6
    more = {"auxiliary_loss", "moe_max_load", "moe_idle_experts", "moe_entropy"}
    for record in steps:
        assert record.keys() & more == (more if parts else set())
        if parts:
            assert 1 <= record["moe_max_load"] <= 4
            assert 0 < record["moe_entropy"] <= 1
            assert record["auxiliary_loss"] > 0
    assert not any(more & record.keys() for record in records if "loss" not in record)
