import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from groundup.cli.app import main
from groundup.cli.chat import show_reply
from groundup.cli.streamed import StreamedText
from groundup.generate.config import SamplingConfig
from groundup.generate.conversation import Conversation
from taught_model import ANSWER, CONVERSATION, QUESTION, write_run

GREEDY = ("--temperature", "0")


@pytest.fixture(scope="module")
def run(engine, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", engine, "pretrain", "sft")


@pytest.fixture
def conversation(engine):
    return Conversation(engine, SamplingConfig(temperature=0))


@pytest.fixture
def call(run, capsys):
    """Calls `groundup chat RUN ...`; returns exit code, stdout, stderr."""

    def call(*words, folder=run):
        with pytest.raises(SystemExit) as left:
            main(["chat", str(folder), *words])
        return left.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def talk(call, monkeypatch):
    """Pipes lines into `groundup chat`; returns lines of stdout, lines of stderr."""

    def talk(*lines, flags=GREEDY):
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
        code, out, err = call(*flags)
        assert code == 0
        return out.splitlines(), err.splitlines()

    return talk


def test_each_line_of_a_pipe_is_answered_without_decoration(talk):
    assert talk(QUESTION, "", "/reset", QUESTION) == ([ANSWER, ANSWER], ["all turns are forgotten"])


def test_a_message_is_answered_at_once(call):
    assert call("--message", QUESTION, *GREEDY)[:2] == (0, ANSWER + "\n")


def test_json_holds_the_last_reply_its_ids_and_the_conversation(call, engine):
    code, out, err = call("--message", QUESTION, "--message", "-more", "--system", "Hm.", "--json", *GREEDY)
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert [m["role"] for m in result["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    assert result["messages"][-1]["content"] == result["reply"]
    assert result["reply"] == engine.tokenizer.decode(result["token_ids"], skip_special=True)


def test_json_without_a_message_is_refused(call):
    assert call("--json")[0] == 2


def test_a_model_that_was_not_taught_to_answer_is_refused(call, engine, tmp_path):
    folder = write_run(tmp_path / "base", engine, "pretrain")
    code, _, err = call("--message", "hi", folder=folder)
    assert code == 2
    assert f"groundup generate {folder}" in err


def test_settings_are_shown_changed_and_checked(talk):
    said, notes = talk("/temperature", "/top-k 5", "/max 3", "/top-p 7", "/seed 4", "/min-p x", QUESTION)
    assert notes == [
        "temperature is 0.0",
        "top-k is 5",
        "max-new-tokens is 3",
        "top-p: should be less than or equal to 1 (see --help)",
        "seed is 4",
        "min-p: should be a valid number, unable to parse string as a number (see --help)",
        "cut at 3 tokens; /max N allows more",
    ]
    assert ANSWER.startswith(said[0])


def test_an_unknown_command_names_the_nearest(talk):
    _, notes = talk("/temprature 1", "/temp 1", "/zzz", "/")
    assert notes == [
        "there is no command /temprature (did you mean /temperature?)",
        "there is no command /temp (did you mean /temperature?)",
        "there is no command /zzz (/help lists all)",
        "there is no command / (/help lists all)",
    ]


def test_help_lists_every_command(talk):
    _, notes = talk("/help")
    listed = [line.split()[0] for line in notes]
    settings = {"/temperature", "/top-k", "/top-p", "/min-p", "/max", "/seed"}
    turns = {"/reset", "/system", "/retry", "/undo", "/history", "/save"}
    assert set(listed) == {"/help", "/quit"} | settings | turns


def test_retry_undo_system_and_history(talk):
    lines = ("/max 9", "/system Hm.", QUESTION, "/retry", "/history", "/undo", "/undo", "/system", "/history")
    _, notes = talk(*lines)
    assert notes[1] == "the system message is set"
    assert notes[4:6] == ["system: Hm.", f"user: {QUESTION}"]
    assert notes[-4:] == [
        f"forgotten: {QUESTION}",
        "nothing has been said yet (say something first)",
        "there is no system message now",
        "nothing has been said yet",
    ]


def test_what_was_said_can_be_saved_for_fine_tuning_but_over_nothing(talk, tmp_path):
    path = tmp_path / "talk.jsonl"
    _, notes = talk(QUESTION, f"/save {path}", f"/save {path}", f"/save {tmp_path}/no/talk", "/save")
    assert json.loads(path.read_text()) == {"messages": CONVERSATION}
    assert "is there already" in notes[1]
    assert "cannot be written: No such file" in notes[2]
    assert "needs the name of a file" in notes[3]


def test_quit_leaves_what_follows_unread(talk):
    assert talk("/quit", QUESTION) == ([], [])


def test_turns_that_no_longer_fit_are_told_of(talk):
    _, notes = talk(*["a message of some length"] * 4)
    assert any("no longer fit into the model's context" in note for note in notes)


def test_a_message_that_is_too_long_is_told_of_and_the_talk_goes_on(talk):
    said, notes = talk("x" * 400, QUESTION)
    assert said == [ANSWER]
    assert "the model reads at most 160" in notes[0]


def test_ctrl_c_in_a_pipe_leaves_with_130(talk, call, monkeypatch):
    def interrupted(_self, _piece):
        raise KeyboardInterrupt

    monkeypatch.setattr(StreamedText, "write", interrupted)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\nb\n"))
    assert call(*GREEDY) == (130, "", "")


@contextmanager
def terminal(*words):
    """A process on a terminal of its own: (process, type what is given, wait until the screen shows a text)."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "groundup", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    screen = ""

    def wait_for(text, meanwhile=lambda: None):
        """`meanwhile` is called each second."""
        nonlocal screen
        deadline = time.monotonic() + 30
        while text not in screen:
            assert time.monotonic() < deadline, f"no {text!r} after {screen!r}"
            if select.select([ours], [], [], 1)[0]:
                screen += os.read(ours, 4096).decode(errors="replace")
            else:
                meanwhile()
        screen = screen.split(text, 1)[1]

    try:
        yield process, lambda keys: os.write(ours, keys.encode()), wait_for
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_on_a_terminal_ctrl_c_stays_and_ctrl_d_leaves(run):
    with terminal("chat", str(run), *GREEDY) as (process, press, wait_for):
        wait_for("> ")
        press(f"{QUESTION}\n")
        wait_for(ANSWER)
        wait_for("> ")
        # A signal between the prompt and the wait for keys is seen at the next key only: people press again.
        wait_for("Ctrl-D or /quit leaves", meanwhile=lambda: process.send_signal(signal.SIGINT))
        wait_for("> ")
        press("\x04")
        assert process.wait(30) == 0


def test_on_a_terminal_ctrl_c_ends_a_reply_and_the_talk_goes_on(conversation, monkeypatch, capsys):
    write = StreamedText.write

    def interrupted(self, piece):
        if "," in piece:
            raise KeyboardInterrupt
        write(self, piece)

    monkeypatch.setattr(StreamedText, "write", interrupted)
    pieces = show_reply(conversation, conversation.reply(QUESTION), stay=True)
    said = "".join(piece.text for piece in pieces)
    assert ANSWER.startswith(said)
    assert said != ANSWER
    assert capsys.readouterr().out.endswith(" …\n")
    assert conversation.turns[-1] == {"role": "assistant", "content": said}
