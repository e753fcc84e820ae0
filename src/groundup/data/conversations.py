"""Conversations: read from `messages` files, or made of documents by a rule."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from groundup.core.config import Config
from groundup.core.errors import UserError
from groundup.data.document import Document

Message = dict[str, str]
Conversation = list[Message]


class DialogueRule(Config):
    """Cues and replies in documents that mark who speaks: plays, interviews, transcripts, chat logs.

    Every speech is once the reply to the one before it and once the cue of the one after it.
    """

    speaker: str
    """Regular expression of a whole line that names who speaks next; its first group is the name."""
    border: str = r"^#"
    """Regular expression of lines at which a conversation ends: headings, scenes."""
    drop: str = ""
    """Regular expression of text to leave out, such as stage directions; ^ and $ match at lines."""
    user: str = "{speech}"
    """How a cue is written; {speaker} and {speech} are filled in."""
    assistant: str = "{speaker}: {speech}"
    """How a reply is written."""
    max_turns: int = Field(default=6, ge=2)
    """Most messages in one conversation."""

    @field_validator("speaker", "border", "drop")
    @classmethod
    def _valid_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("speaker")
    @classmethod
    def _has_group(cls, pattern: str) -> str:
        if re.compile(pattern).groups < 1:
            raise ValueError("needs a group ( ) around the name of the speaker")
        return pattern


class ConversationConfig(Config):
    """Where conversations come from: a file of `messages`, or the documents of the run by a rule."""

    path: str = ""
    """A JSONL file, each line {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}."""
    dialogue: DialogueRule | None = None
    """The rule that turns documents into conversations."""
    validation_fraction: float = Field(default=0.05, gt=0, lt=0.5)
    """Share of the conversations of `path` that is held out, the last ones."""

    @model_validator(mode="after")
    def _one_origin(self) -> "ConversationConfig":
        if bool(self.path) == (self.dialogue is not None):
            raise ValueError("give either path or a dialogue rule")
        return self


def dialogues(documents: Iterable[Document], rule: DialogueRule) -> Iterator[Conversation]:
    """Conversations by a rule, in the order of the documents."""
    for document in documents:
        for speeches in _scenes(document.text, rule):
            for first in (0, 1):
                yield from _conversations(speeches[first:], rule)


def read_messages(path: Path) -> list[Conversation]:
    """Conversations of a JSONL file. Raises UserError naming file and line of what is not one."""
    if not path.is_file():
        raise UserError(f"{path} does not exist", "sft.conversations.path names a JSONL file of messages")
    conversations = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                conversations.append(_parse_line(line, f"{path}:{number}"))
    if not conversations:
        raise UserError(f"{path} holds no conversation", 'each line is {"messages": [...]}')
    return conversations


def _parse_line(line: bytes, where: str) -> Conversation:
    hint = 'each line is {"messages": [{"role": "user", "content": "…"}, …]}'
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}", hint) from None
    messages = record.get("messages") if isinstance(record, dict) else None
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise UserError(f"{where}: no list of messages with a role and a content each", hint)
    if not any(message["role"] == "assistant" for message in messages):
        raise UserError(f"{where}: nobody answers: there is no message of role assistant", hint)
    return messages


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("role", "content"))


def _scenes(text: str, rule: DialogueRule) -> Iterator[list[tuple[str, str]]]:
    """(speaker, speech) pairs of each stretch between two borders."""
    if rule.drop:
        text = re.sub(rule.drop, "", text, flags=re.MULTILINE)
    speaker, border = re.compile(rule.speaker), re.compile(rule.border)
    speeches: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if rule.border and border.search(line):
            yield _join(speeches)
            speeches = []
        elif named := speaker.fullmatch(line.strip()):
            speeches.append((named[1], []))
        elif speeches:
            speeches[-1][1].append(line.strip())
    yield _join(speeches)


def _join(speeches: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    """Lines to speeches; silent ones are left out, and what one speaker says in a row becomes one speech."""
    joined: list[tuple[str, str]] = []
    for speaker, lines in speeches:
        speech = re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip()
        if speech and joined and joined[-1][0] == speaker:
            joined[-1] = (speaker, f"{joined[-1][1]}\n{speech}")
        elif speech:
            joined.append((speaker, speech))
    return joined


def _conversations(speeches: list[tuple[str, str]], rule: DialogueRule) -> Iterator[Conversation]:
    """Cut a scene into conversations of at most max_turns messages, each ending with a reply."""
    size = rule.max_turns - rule.max_turns % 2
    for start in range(0, len(speeches), size):
        part = speeches[start : start + size]
        part = part[: len(part) - len(part) % 2]
        if part:
            yield [_message(index, speaker, speech, rule) for index, (speaker, speech) in enumerate(part)]


def _message(index: int, speaker: str, speech: str, rule: DialogueRule) -> Message:
    role, form = ("user", rule.user) if index % 2 == 0 else ("assistant", rule.assistant)
    return {"role": role, "content": form.replace("{speaker}", speaker).replace("{speech}", speech)}
