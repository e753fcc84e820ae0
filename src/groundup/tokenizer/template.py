"""Chat templates: a conversation as text, in which what is said and what is trained on can be told apart."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox

from groundup.core.errors import UserError
from groundup.tokenizer.config import END_OF_TEXT, PAD
from groundup.tokenizer.messages import Message, check_messages

_CONTENT, _END_CONTENT, _TRAINED, _END_TRAINED = "[", "]", "{", "}"
_MARK = "groundup_mark"
_MARKER_BLOCK = re.compile(r"\{%([-+]?)\s*(?:end)?generation\s*([-+]?)%\}")


@dataclass(frozen=True)
class Segment:
    """A stretch of a rendered conversation."""

    text: str
    trained: bool
    """Inside a generation block: what the assistant says, its end-of-turn token included."""
    is_content: bool
    """From a message: whatever it looks like, it is ordinary text and never a special token."""


class ChatTemplate:
    """A Jinja2 chat template with Hugging Face's `{% generation %}` markers.

    Rendered as transformers does it (same options, sandboxed: a template is somebody else's code). Raises
    UserError if it is not valid Jinja2 or has no markers.
    """

    def __init__(self, source: str) -> None:
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, jinja2.ext.loopcontrols],
        )
        environment.filters["tojson"] = _to_json
        try:
            self._template = environment.from_string(source, globals={"raise_exception": _raise_exception})
        except jinja2.TemplateSyntaxError as error:
            raise UserError(f"chat template, line {error.lineno}: {error.message}", "correct it") from None
        if not _MARKER_BLOCK.search(source):
            raise UserError(
                "the chat template does not mark what the assistant says",
                "put it between {% generation %} and {% endgeneration %}, the end-of-turn token included",
            )

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> list[Segment]:
        """The conversation as segments; `add_generation_prompt` opens a turn of the assistant at its end.

        Raises UserError naming the message that is malformed, or what the template complains of.
        """
        check_messages(messages)
        mark = f"\ue000{secrets.randbits(96):030d}"
        guarded = [dict(message) | {"content": _Guarded(message["content"], mark)} for message in messages]
        try:
            text = self._template.render(
                {_MARK: mark},
                messages=guarded,
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                bos_token="",
                eos_token=END_OF_TEXT,
                pad_token=PAD,
            )
        except jinja2.TemplateError as error:
            raise UserError(f"the chat template refuses the conversation: {error}", "change one of them") from None
        return _segments(text, mark)


def without_markers(source: str) -> str:
    """The template without generation markers, for engines that do not know them; the text is the same."""
    return _MARKER_BLOCK.sub(lambda match: f"{{#{match[1]} {match[2]}#}}", source)


class _Generation(jinja2.ext.Extension):
    """The `{% generation %}` block: its output goes out between marks."""

    tags = {"generation"}  # noqa: RUF012 (as jinja2 declares it)

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("mark"), [], [], body).set_lineno(line)

    @jinja2.pass_context
    def mark(self, context: jinja2.runtime.Context, caller: jinja2.runtime.Macro) -> str:
        mark = context[_MARK]
        return f"{mark}{_TRAINED}{caller()}{mark}{_END_TRAINED}"


class _Guarded(str):
    """The content of a message between marks that nobody can guess. Stripping strips within the marks."""

    _content: str
    _mark: str

    def __new__(cls, content: str, mark: str) -> "_Guarded":
        self = super().__new__(cls, f"{mark}{_CONTENT}{content}{mark}{_END_CONTENT}")
        self._content, self._mark = content, mark
        return self

    def strip(self, chars: str | None = None, /) -> "_Guarded":
        return _Guarded(self._content.strip(chars), self._mark)

    def lstrip(self, chars: str | None = None, /) -> "_Guarded":
        return _Guarded(self._content.lstrip(chars), self._mark)

    def rstrip(self, chars: str | None = None, /) -> "_Guarded":
        return _Guarded(self._content.rstrip(chars), self._mark)

    def startswith(
        self,
        prefix: str | tuple[str, ...],
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> bool:
        return self._content.startswith(prefix, start, end)

    def endswith(
        self,
        suffix: str | tuple[str, ...],
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        /,
    ) -> bool:
        return self._content.endswith(suffix, start, end)

    def __len__(self) -> int:
        return len(self._content)


def _segments(text: str, mark: str) -> list[Segment]:
    trained = is_content = False
    found = []
    first, *rest = re.split(f"{mark}(.)", text, flags=re.DOTALL)
    for kind, piece in [("", first), *zip(rest[::2], rest[1::2], strict=True)]:
        if kind in (_CONTENT, _END_CONTENT):
            opens, was_open, is_content = kind == _CONTENT, is_content, kind == _CONTENT
        elif kind in (_TRAINED, _END_TRAINED):
            opens, was_open, trained = kind == _TRAINED, trained, kind == _TRAINED
        else:
            opens, was_open = True, False
        if opens == was_open or mark in piece:
            raise UserError("the chat template takes a message apart", "let it write each content as a whole")
        if piece:
            found.append(Segment(piece, trained, is_content))
    if trained or is_content:
        raise UserError("the chat template takes a message apart", "let it write each content as a whole")
    return found


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)
