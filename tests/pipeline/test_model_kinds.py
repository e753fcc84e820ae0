"""The recipe of a small Transformer builds every other kind of model, with nothing else changed."""

import pytest

from groundup.core.files import read_json
from groundup.pipeline.artifact import read_artifact
from groundup.pipeline.load import load_recipe
from tiny_project import call_groundup

LATENT = "{ kv_rank = 8, nope_head_dim = 8, rope_head_dim = 4, v_head_dim = 8 }"
KINDS = {
    "lstm": ["--model.kind", "lstm"],
    "moe": ["--model.moe", "{ n_experts = 8, n_shared = 1 }"],
    "alibi": ["--model.position", "alibi"],
    "mla": ["--model.latent", LATENT],
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in ("lstm", "moe") else pytest.mark.slow) for kind in KINDS]
)
def test_the_recipe_builds_scores_and_talks(kind, tmp_path, build_tiny, recipe_path, capsys):
    run = tmp_path / "run"
    result = build_tiny(run, *KINDS[kind])
    assert {stage.status for stage in result.stages} == {"built"}
    assert 0 < result.bits_per_byte < 12
    written = read_json(run / "sft" / "config.json")["model"]
    assert written == load_recipe(recipe_path, KINDS[kind]).model.model_dump()
    assert read_artifact(run / "pretrain").manifest.facts["mfu"] > 0

    few = ("--max-new-tokens", "5", "--json")
    assert call_groundup(capsys, "generate", run, "--prompt", "def ", *few).json["token_ids"]
    assert len(call_groundup(capsys, "chat", run, "--message", "a", "--message", "b", *few).json["messages"]) == 4


def test_a_recurrent_build_is_equal_to_the_bit_when_repeated(tmp_path, build_tiny):
    first, second = (build_tiny(tmp_path / name, *KINDS["lstm"], until="sft") for name in ("one", "two"))
    for stage in ("pretrain", "sft"):
        assert first.artifacts[stage].manifest.hash == second.artifacts[stage].manifest.hash
