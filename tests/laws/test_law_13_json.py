"""Law 13: with --json, the last line on stdout is one JSON object; all talk goes to stderr."""

import pytest

from groundup.cli.app import COMMANDS
from tiny_project import call_groundup, run_groundup, write_project

COMMAND_LINES = {
    "new": ["new", "fresh", "--data", "text", "--minutes", "1"],
    "build": ["build", "tiny.toml", "--out", "run"],
    "show": ["show", "run"],
    "report": ["report", "run"],
    "generate": ["generate", "run", "--prompt", "def", "--max-new-tokens", "3"],
    "chat": ["chat", "run", "--message", "def f():", "--max-new-tokens", "3"],
    "show-mask": ["show-mask", "run"],
    "export": ["export", "run", "sent", "--to", "hf"],
    "import": ["import", "sent", "got"],
    "coordinates": ["coordinates", "tiny.toml", "--widths", "16", "--widths", "32", "--steps", "1"],
    "params": ["params", "run"],
}
TRANSFERRED = {"path", "parameters", "family", "max_logit_diff", "rounding_logit_diff"}
KEYS = {
    "new": {"recipe", "text", "weights", "expected_tokens"},
    "build": {"run", "stages", "bits_per_byte", "train_seconds"},
    "show": {"run", "stages"},
    "report": {"report"},
    "generate": {"text", "token_ids", "prompt_ids", "finish_reason", "tokens_per_second"},
    "chat": {"reply", "token_ids", "messages"},
    "show-mask": {"token_ids", "trained"},
    "export": TRANSFERRED,
    "import": TRANSFERRED,
    "coordinates": {"standard", "muP"},
    "params": {
        *("model", "about", "total", "active", "embedding", "parts", "seq_len", "flops_per_token"),
        *("generation_flops_per_token", "dtype", "kv_bytes_per_token", "weight_bytes", "vocab_size", "config"),
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    built = run_groundup("build", "tiny.toml", "--out", "run", "--pretrain.steps", "2", "--json", cwd=folder)
    assert built.code == 0, built.err
    assert built.out.count("\n") == 1 and set(built.json) == KEYS["build"]
    return folder


def test_every_command_is_held_to_it():
    assert set(COMMAND_LINES) == set(KEYS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_the_only_line_on_stdout_is_one_object(project, name, capsys, monkeypatch):
    monkeypatch.chdir(project)
    words = [*COMMAND_LINES[name], "--json"]
    override = ["--pretrain.steps", "2"] if name == "build" else []
    found = call_groundup(capsys, *words, *override)
    assert found.code == 0
    assert found.out.count("\n") == 1
    assert set(found.json) == KEYS[name]
    assert "Traceback" not in found.err


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_so_is_that_of_a_mistake(project, name, capsys, monkeypatch):
    monkeypatch.chdir(project)
    words = [
        {"run": "none", "tiny.toml": "none.toml", "text": "none", "sent": "none"}.get(word, word)
        for word in COMMAND_LINES[name]
    ]
    words = [word.replace("fresh", "fresher") for word in words]
    found = call_groundup(capsys, *words, "--json")
    assert (found.code, found.out.count("\n"), set(found.json)) == (2, 1, {"error", "hint"})


@pytest.mark.parametrize("name", ["show", "report", "generate", "chat", "show-mask"])
def test_without_it_stdout_holds_what_was_asked_for(project, name, capsys, monkeypatch):
    monkeypatch.chdir(project)
    found = call_groundup(capsys, *COMMAND_LINES[name])
    assert found.code == 0
    assert not found.out.startswith("{")
