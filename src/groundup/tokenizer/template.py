"""Chat templates: a conversation as text, in which what is said and what is trained on can be told apart."""

import functools
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import jinja2
import jinja2.ext
import jinja2.filters
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox

from groundup.core.errors import UserError
from groundup.tokenizer.messages import Message, check_messages
from groundup.tokenizer.said import CLOSE, OPEN, Said, mark_in, shown

_TRAINED, _END_TRAINED = "{", "}"
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
    """A Jinja2 chat template, rendered as transformers does it: same options, functions and sandbox.

    A template is somebody else's code. `names` are what it may name beside the messages: bos_token, eos_token and
    so on. Raises UserError if it is not valid Jinja2.
    """

    def __init__(self, source: str, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self._names = names
        self.is_marked = bool(_MARKER_BLOCK.search(source))
        try:
            self._template = _Environment().from_string(source, globals=_FUNCTIONS)
        except jinja2.TemplateSyntaxError as error:
            raise UserError(f"chat template, line {error.lineno}: {error.message}", "correct it") from None

    def require_markers(self) -> None:
        """Raise UserError unless the template marks with `{% generation %}` what is to be trained (Law 9)."""
        if not self.is_marked:
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
        given = [dict(message) | {"content": Said(message["content"], mark)} for message in messages]
        try:
            text = self._template.render(
                {_MARK: mark},
                messages=given,
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                **self._names,
            )
        except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
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


class _Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Where templates run. What they do to strings that were said keeps its marks, or is said from end to end."""

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols])
        self.filters |= {"tojson": _to_json, "replace": _replace, "indent": _indent}
        self.filters = {name: _guarded(plain) for name, plain in self.filters.items()}

    def call(self, context: jinja2.runtime.Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls; methods of plain strings do not ask for marks, so they get them shown."""
        if type(getattr(function, "__self__", None)) is str and mark_in(args):
            if function.__name__ == "join":
                args = shown(args)
            elif function.__name__ == "replace":
                args = (args[0], *shown(args[1:]))
        return super().call(context, function, *args, **kwargs)


def _guarded(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)  # carries over what the filter is to be called with
    def guarded(*args: Any, **kwargs: Any) -> Any:
        found = plain(*args, **kwargs)
        if isinstance(found, str) and not isinstance(found, Said):
            mark = mark_in((*args, *kwargs.values()))
            return Said(found, mark) if mark and mark not in found else found
        return found

    return guarded


def _segments(text: str, mark: str) -> list[Segment]:
    trained = is_content = False
    found = []
    first, *rest = re.split(f"{mark}(.)", text, flags=re.DOTALL)
    for kind, piece in [("", first), *zip(rest[::2], rest[1::2], strict=True)]:
        if kind in (OPEN, CLOSE):
            opens, was_open, is_content = kind == OPEN, is_content, kind == OPEN
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


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        shown(value), ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return (text if isinstance(text, str) else str(text)).replace(old, new, count)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    return jinja2.filters.do_indent(str.__str__(text), width, first, blank)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


_FUNCTIONS = {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
"""What templates call by name, beside Jinja2's own."""
