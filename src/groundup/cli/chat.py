"""`groundup chat`."""

import contextlib
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from groundup.cli.sampling import DEFAULT, SamplingFlags
from groundup.cli.streamed import StreamedText
from groundup.core.errors import UserError
from groundup.core.progress import Reporter

if TYPE_CHECKING:
    from groundup.generate.conversation import Conversation
    from groundup.generate.engine import Engine, Piece
    from groundup.pipeline.open_model import OpenedModel

_NOTES = {
    "length": "cut at {0} tokens; /max N allows more",
    "context": "cut: the context of {1} tokens is full",
}


def chat(
    run: str,
    *,
    message: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True)] = (),
    system: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    sampling: SamplingFlags = DEFAULT,
    json: bool = False,
) -> dict:
    """Talk to a model. /help lists what can be done beside talking; Ctrl-C stops a reply, Ctrl-D leaves.

    Without a terminal, each line of stdin is a message.

    Parameters
    ----------
    run
        Folder of a run whose model was taught to answer, an imported folder, a folder of Hugging Face, or a .gguf file.
    message
        Say this, print the reply and leave; several are said one after the other.
    system
        A message that stands before the conversation.
    json
        With --message: print the last reply and the conversation as one line of JSON.
    """
    from groundup.generate.conversation import Conversation
    from groundup.pipeline.open_model import open_model

    if json and not message:
        raise UserError("--json needs something to say", "add --message TEXT")
    opened = open_model(run)
    conversation = Conversation(chat_engine(opened), sampling, system)
    if message:
        return say(conversation, message, show=not json)
    talk(conversation, opened.source)
    return {}


def chat_engine(opened: "OpenedModel") -> "Engine":
    """An engine for the model. Raises UserError if it was not taught to answer."""
    from groundup.generate.engine import Engine

    if not opened.is_chat:
        teach = "" if opened.stage == "imported" else ", or add an [sft] table to its recipe and build"
        raise UserError(
            f"the model in {opened.source} continues text and was not taught to answer",
            f"use `groundup generate {opened.source}`{teach}",
        )
    return Engine(opened.model, opened.tokenizer, opened.compute)


def say(conversation: "Conversation", messages: tuple[str, ...], *, show: bool) -> dict:
    """Say each message in turn; the last reply, its ids, and everything said."""
    pieces: list[Piece] = []
    for message in messages:
        replies = conversation.reply(message)
        pieces = show_reply(conversation, replies) if show else list(replies)
    return {
        "reply": conversation.turns[-1]["content"],
        "token_ids": [piece.token_id for piece in pieces],
        "messages": conversation.messages,
    }


def talk(conversation: "Conversation", name: str) -> None:
    """Read lines and answer them until the end of input or /quit."""
    from groundup.cli.chat_commands import run_command

    reporter = Reporter()
    interactive = sys.stdin.isatty()
    if interactive:
        _note(reporter, f"{name}: /help lists commands, Ctrl-C stops a reply, Ctrl-D leaves")
    for line in _lines(reporter) if interactive else sys.stdin:
        if not (text := line.strip()):
            continue
        try:
            answer = run_command(conversation, text) if text.startswith("/") else conversation.reply(text)
            if answer is None:
                return
            if isinstance(answer, str):
                _note(reporter, answer)
            else:
                show_reply(conversation, answer, stay=interactive)
        except UserError as error:
            _note(reporter, str(error), "yellow")


def show_reply(
    conversation: "Conversation", replies: Generator["Piece", None, None], *, stay: bool = False
) -> list["Piece"]:
    """Print a reply as it comes; returns its pieces. Ctrl-C ends the reply, and with `stay` only that."""
    output, reporter = StreamedText(), Reporter()
    pieces, unseen = [], conversation.unseen_turns
    with contextlib.closing(replies):
        try:
            for piece in replies:
                pieces.append(piece)
                output.write(piece.text)
        except KeyboardInterrupt:
            if not stay:
                raise
            output.write(" …")
    output.end()
    reason = pieces[-1].finish_reason if pieces else None
    if reason in _NOTES:
        _note(reporter, _NOTES[reason].format(len(pieces), conversation.engine.context))
    if conversation.unseen_turns > unseen:
        _note(reporter, f"the first {conversation.unseen_turns} turns no longer fit into the model's context")
    return pieces


def _lines(reporter: Reporter) -> Iterator[str]:
    with contextlib.suppress(ImportError):  # editing and history, where Python has them
        import readline  # noqa: F401
    while True:
        try:
            yield input("> ")
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            _note(reporter, "Ctrl-D or /quit leaves")


def _note(reporter: Reporter, text: str, style: str = "dim") -> None:
    reporter.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
