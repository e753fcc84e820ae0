"""The command line: one thin file a command, loaded only when it runs, so that help is instant."""

import json
import os
import sys
from collections.abc import Sequence
from keyword import iskeyword
from typing import NoReturn

import cyclopts

from groundup import __version__
from groundup.core.errors import UserError
from groundup.core.files import is_disk_full
from groundup.core.interrupt import Stopped

COMMANDS = {
    "new": "Look at your text and this machine, and write a recipe that fits a stated time.",
    "build": "Build a recipe: raw text in, a model that you can talk to out.",
    "show": "Show the stages, lineage, sizes and scores of a run.",
    "params": "Count a model's parameters, operations and memory, without making it.",
    "report": "Write report.html for a run.",
    "generate": "Continue a prompt.",
    "chat": "Talk to a model.",
    "import": "Read a model of another program: a folder of Hugging Face, a .gguf file, hf:ORG/NAME.",
    "export": "Write a model for other programs, read back and compared before it is kept.",
    "coordinates": "Show how large activations are over widths, with and without muP.",
    "show-mask": "Show a conversation with the tokens that are trained in color.",
}


def make_app() -> cyclopts.App:
    """The application, with every command registered by name and none imported."""
    app = cyclopts.App(
        name="groundup",
        help="Build a language model from the ground up.",
        version=__version__,
        default_parameter=cyclopts.Parameter(negative=()),
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    for name, help_text in COMMANDS.items():
        module = name.replace("-", "_") + ("_" if iskeyword(name) else "")
        app.command(f"groundup.cli.{module}:{module}", name=name, help=help_text)
    return app


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 2 a mistake that the user can put right, 130 Ctrl-C.

    A command returns its result as a dict. With --json it becomes the last line on stdout (Law 13).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        result = make_app()(arguments)
        if as_json and isinstance(result, dict):
            print(json.dumps(result, ensure_ascii=False, allow_nan=False))  # noqa: T201
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        _fail(UserError(" ".join(str(error).split()).rstrip("."), "see groundup --help"), as_json)
    except UserError as error:
        _fail(error, as_json)
    except Stopped as stopped:
        _stop(stopped, as_json)
    except KeyboardInterrupt:  # where no work can be lost, signals are not turned into `Stopped`
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if not is_disk_full(error):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        _fail(UserError(f"the disk is full{where}", "make room, then run the same command: it goes on"), as_json)
    sys.exit(0)


def _fail(error: UserError, as_json: bool) -> NoReturn:
    hint = f"; {error.hint}" if error.hint else ""
    print(f"groundup: {error.message}{hint}", file=sys.stderr)  # noqa: T201
    if as_json:
        print(json.dumps({"error": error.message, "hint": error.hint}, ensure_ascii=False))  # noqa: T201
    sys.exit(2)


def _stop(stopped: Stopped, as_json: bool) -> NoReturn:
    hint = "the same command goes on from here"
    print(f"groundup: stopped by {stopped}; {hint}", file=sys.stderr)  # noqa: T201
    if as_json:
        print(json.dumps({"stopped": str(stopped), "hint": hint}))  # noqa: T201
    sys.exit(stopped.exit_code)
