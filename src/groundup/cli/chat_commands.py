"""What a line that begins with a slash does in `groundup chat`."""

import difflib
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from groundup.cli.sampling import with_setting
from groundup.core.errors import UserError
from groundup.core.files import write_text
from groundup.generate.conversation import Conversation
from groundup.generate.engine import Piece

Answer = str | Generator[Piece, None, None] | None
"""What a command has to say: a note, a reply of the model, or None: leave."""


@dataclass(frozen=True)
class Command:
    """`run` takes the conversation and what stands behind the name."""

    argument: str
    help: str
    run: Callable[[Conversation, str], Answer]


def run_command(conversation: Conversation, line: str) -> Answer:
    """Run a line such as `/top-k 5`. Raises UserError for a name or a value that does not fit."""
    name, _, argument = line[1:].partition(" ")
    if name not in COMMANDS:
        begun = [known for known in COMMANDS if name and known.startswith(name)]
        near = begun or difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean /{near[0]}?" if near else "/help lists all"
        raise UserError(f"there is no command /{name}", hint)
    return COMMANDS[name].run(conversation, argument.strip())


def _help(_conversation: Conversation, _argument: str) -> str:
    rows = [(f"/{name} {command.argument}".rstrip(), command.help) for name, command in COMMANDS.items()]
    return "\n".join(f"  {usage:<16} {text}" for usage, text in rows)


def _reset(conversation: Conversation, _argument: str) -> str:
    conversation.reset()
    return "all turns are forgotten"


def _system(conversation: Conversation, argument: str) -> str:
    conversation.system = argument
    return "the system message is set" if argument else "there is no system message now"


def _setting(name: str) -> Callable[[Conversation, str], str]:
    def change(conversation: Conversation, argument: str) -> str:
        if argument:
            conversation.configure(with_setting(conversation.config, name, argument))
        return f"{name.replace('_', '-')} is {getattr(conversation.config, name)}"

    return change


def _retry(conversation: Conversation, _argument: str) -> Answer:
    return conversation.retry()


def _undo(conversation: Conversation, _argument: str) -> str:
    return f"forgotten: {conversation.undo()}"


def _history(conversation: Conversation, _argument: str) -> str:
    turns = (f"{message['role']}: {message['content']}" for message in conversation.messages)
    return "\n".join(turns) or "nothing has been said yet"


def _save(conversation: Conversation, argument: str) -> str:
    if not argument:
        raise UserError("/save needs the name of a file", "/save talk.jsonl")
    path = Path(argument).expanduser()
    if path.exists():
        raise UserError(f"{path} is there already", "choose another name")
    try:
        write_text(path, json.dumps({"messages": conversation.messages}, ensure_ascii=False) + "\n")
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"{path} cannot be written: {error.strerror}", "choose another folder") from None
    return f"saved to {path}, as a line that fine-tuning can read"


def _quit(_conversation: Conversation, _argument: str) -> None:
    return None


COMMANDS = {
    "help": Command("", "this list", _help),
    "retry": Command("", "another reply to what was said last", _retry),
    "undo": Command("", "forget the last turn", _undo),
    "reset": Command("", "forget all turns; the system message stays", _reset),
    "system": Command("TEXT", "set the system message; without TEXT, remove it", _system),
    "history": Command("", "show what was said", _history),
    "save": Command("FILE", "write what was said to a new JSONL file", _save),
    "temperature": Command("X", "0 always takes the likeliest token; without X, show it", _setting("temperature")),
    "top-k": Command("N", "draw from the N likeliest tokens; 0: from all", _setting("top_k")),
    "top-p": Command("X", "draw from the likeliest tokens of probability X together", _setting("top_p")),
    "min-p": Command("X", "draw from tokens at least X times as likely as the likeliest", _setting("min_p")),
    "max": Command("N", "the most tokens of a reply", _setting("max_new_tokens")),
    "seed": Command("N", "the same seed gives the same replies", _setting("seed")),
    "quit": Command("", "leave; so does Ctrl-D", _quit),
}
