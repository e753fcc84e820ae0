import pytest

from taught_model import TEXT, write_run
from tiny_project import call_groundup


@pytest.fixture(scope="module")
def run(engine, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", engine, "pretrain", "sft")


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Calls groundup in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: call_groundup(capsys, *words)


@pytest.mark.parametrize(("to", "name"), [("hf", "out"), ("gguf", "out.gguf")])
def test_a_run_goes_out_and_comes_back_and_writes_the_same(run, call, to, name):
    sent = call("export", run, name, "--to", to, "--json")
    assert sent.code == 0
    assert set(sent.json) >= {"path", "parameters", "max_logit_diff"}
    assert sent.json["path"] == name
    assert sent.json["max_logit_diff"] < 1e-4
    got = call("import", name, "back", "--json")
    assert (got.code, got.json["path"], got.json["parameters"]) == (0, "back", sent.json["parameters"])
    for source in (run, name, "back"):
        written = call("generate", source, "--prompt", "the quick ", "--temperature", "0", "--max-new-tokens", "80")
        assert (written.code, written.out) == (0, TEXT[10:] + "\n")
    said = call("chat", "back", "--message", "Who's there?", "--temperature", "0", "--json")
    assert said.json["reply"] == "Nay, answer me: stand, and unfold yourself."


def test_people_are_told_where_it_is_and_how_exact(run, call):
    told = call("export", run, "out", "--to", "hf", "--dtype", "bf16").err
    assert "out: qwen3," in told
    assert "by rounding of weights" in told
    assert "talk to it with `groundup chat back`" in call("import", "out", "back").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "RUN", "out"), "--to"),
        (("export", "RUN", "out", "--to", "onnx"), "onnx"),
        (("export", "RUN", "out", "--to", "hf", "--dtype", "q8_0"), "hf files do not store weights as 'q8_0'"),
        (("export", "nothing", "out", "--to", "hf"), "nothing does not exist"),
        (("import", "nothing", "out"), "nothing does not exist"),
        (("import", "hf:nothing", "out"), "is not of the form hf:ORG/NAME"),
        (("generate", "RUN", "--stage", "dpo"), "stage 'dpo' holds no model"),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_written(run, call, words, message, tmp_path):
    outcome = call(*[run if word == "RUN" else word for word in words])
    assert outcome.code == 2
    assert message in outcome.told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("to", "name"), [("hf", "out"), ("gguf", "out.gguf")])
def test_a_model_that_only_continues_text_goes_out_without_a_chat_template(run, call, to, name):
    assert call("export", run, name, "--to", to, "--stage", "pretrain").code == 0
    refused = call("chat", name, "--message", "Hello")
    assert (refused.code, "was not taught to answer" in refused.told) == (2, True)
    assert call("export", run, f"chat-{name}", "--to", to).code == 0
    assert call("chat", f"chat-{name}", "--message", "Hello", "--max-new-tokens", "2").code == 0


def test_a_folder_inside_a_run_is_told_from_models_of_others(run, call):
    for words in (("generate", run / "pretrain"), ("import", run / "pretrain", "out")):
        outcome = call(*words)
        assert (outcome.code, "is a run of groundup, or a part of one" in outcome.told) == (2, True)


def test_a_stage_belongs_to_runs(run, call):
    call("export", run, "out", "--to", "hf", "--stage", "pretrain")
    outcome = call("generate", "out", "--stage", "sft")
    assert (outcome.code, "out has no stages" in outcome.told) == (2, True)
