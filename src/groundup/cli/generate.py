"""`groundup generate`."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from groundup.cli.sampling import DEFAULT, SamplingFlags

if TYPE_CHECKING:
    from groundup.generate.config import SamplingConfig
    from groundup.generate.engine import Engine


def generate(
    run: str,
    *,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    sampling: SamplingFlags = DEFAULT,
    stage: str | None = None,
    json: bool = False,
) -> dict:
    """Continue a prompt. The same command gives the same text; another --seed gives another.

    Parameters
    ----------
    run
        Folder of a run, an imported folder, a folder of Hugging Face, or a .gguf file.
    prompt
        Text to continue; - reads it from stdin, less the last line break. Empty: begin a new document.
    stage
        Take the model of this stage, pretrain or sft; by default the latest that there is.
    json
        Print the result as one line of JSON, instead of the text as it comes.
    """
    from groundup.generate.engine import Engine
    from groundup.pipeline.open_model import open_model

    text = sys.stdin.read().removesuffix("\n") if prompt == "-" else prompt
    opened = open_model(run, stage)
    engine = Engine(opened.model, opened.tokenizer, opened.compute)
    return continue_prompt(engine, text, sampling, show=not json)


def continue_prompt(engine: "Engine", prompt: str, sampling: "SamplingConfig", *, show: bool) -> dict:
    """Text, ids, why it ended, and new tokens per second from reading the prompt to the last of them."""
    from groundup.cli.streamed import StreamedText
    from groundup.core.progress import Reporter, human_number
    from groundup.generate.engine import collect

    prompt_ids = engine.encode_prompt(prompt)
    output = StreamedText()
    if show and sys.stdout.isatty():
        _echo(prompt)
    pieces = []
    start = time.perf_counter()
    for piece in engine.stream([prompt_ids], sampling):
        pieces.append(piece)
        if show:
            output.write(piece.text)
    speed = len(pieces) / (time.perf_counter() - start)
    completion = collect(pieces)
    if show:
        output.end()
        ended = completion.finish_reason
        Reporter().say(f"[dim]{len(pieces)} tokens, {human_number(speed)} tok/s, ended by: {ended}[/]")
    return {
        "text": completion.text,
        "token_ids": completion.token_ids,
        "prompt_ids": prompt_ids,
        "finish_reason": completion.finish_reason,
        "tokens_per_second": speed,
    }


def _echo(prompt: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(prompt, style="dim"), end="", soft_wrap=True)
