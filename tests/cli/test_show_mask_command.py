import json

import pytest

from taught_model import ANSWER, CONVERSATION, write_run
from tiny_project import call_groundup


@pytest.fixture
def run(engine, tmp_path):
    return write_run(tmp_path / "run", engine, "pretrain", "sft")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps({"messages": CONVERSATION}) + "\n")
    return path


def test_the_answer_and_its_end_are_trained(run, file, capsys, engine):
    found = call_groundup(capsys, "show-mask", run, "--file", file, "--json")
    ids, trained = found.json["token_ids"], found.json["trained"]
    learned = [token for token, is_trained in zip(ids, trained, strict=True) if is_trained]
    assert engine.tokenizer.decode(learned) == ANSWER + "<|im_end|>"


def test_without_a_terminal_the_trained_text_is_marked(run, file, capsys):
    found = call_groundup(capsys, "show-mask", run, "--file", file)
    assert (found.code, found.err) == (0, "")
    assert ANSWER in found.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--index", 1], "there is no conversation 1; they count from 0 to 0"),
        (["--index", -1], "there is no conversation -1"),
    ],
)
def test_a_conversation_that_is_not_there_is_told(run, file, capsys, words, told):
    found = call_groundup(capsys, "show-mask", run, "--file", file, *words)
    assert (found.code, found.out) == (2, "")
    assert told in found.err


def test_files_that_hold_no_messages_are_told_with_their_line(run, file, tmp_path, capsys):
    file.write_text(file.read_text() + "{\n")
    found = call_groundup(capsys, "show-mask", run, "--file", file)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert f"{file}:2: not JSON" in found.err
    assert "does not exist" in call_groundup(capsys, "show-mask", run, "--file", tmp_path / "none").err


def test_a_run_that_was_not_fine_tuned_needs_a_file(engine, tmp_path, file, capsys):
    base = write_run(tmp_path / "base", engine, "pretrain")
    found = call_groundup(capsys, "show-mask", base)
    assert found.err == f"groundup: {base} was not fine-tuned on conversations; name some with --file MESSAGES.jsonl\n"
    assert call_groundup(capsys, "show-mask", base, "--file", file).code == 0
