import io
import json
import sys

import pytest

from groundup.cli.app import main
from taught_model import TEXT, write_run


@pytest.fixture(scope="module")
def run(engine, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", engine, "pretrain", "sft")


@pytest.fixture
def call(run, capsys):
    """Calls `groundup generate RUN ...`; returns exit code, stdout, stderr."""

    def call(*words):
        with pytest.raises(SystemExit) as left:
            main(["generate", str(run), *words])
        return left.value.code, *capsys.readouterr()

    return call


def test_the_text_goes_to_stdout_and_the_speed_to_stderr(call):
    code, out, err = call("--prompt", "the quick ", "--temperature", "0")
    assert (code, out) == (0, TEXT[10:] + "\n")
    assert "tok/s, ended by: end" in err


def test_json_is_the_last_line_and_the_only_one(call, engine):
    code, out, err = call("--prompt", "the q", "--temperature", "0", "--max-new-tokens", "5", "--json")
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert result["prompt_ids"] == engine.encode_prompt("the q")
    assert engine.tokenizer.decode(result["token_ids"]) == result["text"]
    assert (len(result["token_ids"]), result["finish_reason"]) == (5, "length")
    assert result["tokens_per_second"] > 0


def test_the_prompt_may_come_from_stdin(call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("the q\n"))
    assert call("--prompt", "-", "--temperature", "0")[1] == TEXT[5:] + "\n"


def test_without_a_prompt_a_document_begins(call):
    assert call("--temperature", "0")[1] == TEXT + "\n"


def test_a_prompt_may_begin_with_a_dash_and_stops_may_be_several(call):
    assert call("--prompt", "--json-like", "--max-new-tokens", "1")[0] == 0
    words = ("--prompt", "the", "--temperature", "0", "--stop", "never", "--stop", " jumps")
    assert call(*words)[1] == " quick brown fox\n"


def test_the_same_command_gives_the_same_text(call):
    hot = ("--temperature", "3", "--max-new-tokens", "30", "--json")
    texts = [json.loads(call(*hot, "--seed", seed)[1])["text"] for seed in ("1", "1", "2")]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--temperature", "-1"), "temperature: should be greater than or equal to 0"),
        (("--top-p", "much"), "top-p: should be a valid number"),
        (("--stop", ""), "stop holds an empty string"),
        (("--stage", "tokenizer"), "holds no model"),
        (("--prompt", "x" * 300), "the prompt has"),
        (("--tempature", "1"), "Did you mean --temperature?"),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(call, words, message):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_model_of_an_earlier_stage_can_be_asked(call):
    assert call("--stage", "pretrain", "--temperature", "0")[1] == TEXT + "\n"


def test_ctrl_c_leaves_quietly_with_130(call, monkeypatch):
    from groundup.cli.streamed import StreamedText

    def interrupted(_self, _piece):
        raise KeyboardInterrupt

    monkeypatch.setattr(StreamedText, "write", interrupted)
    assert call("--temperature", "0") == (130, "", "")
