"""`groundup export`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def export(
    run: str,
    target: Path,
    *,
    to: Annotated[Literal["hf", "gguf"], Parameter(name="--to")],
    dtype: str | None = None,
    stage: str | None = None,
    json: bool = False,
) -> dict:
    """Write a model for transformers, vLLM and others (hf), or for llama.cpp, Ollama and others (gguf).

    What was written is read back before it is kept: it has to compute the same logits and to cut texts into the same
    tokens. A model that no architecture of the format is exactly is refused, with what stands in the way.

    Parameters
    ----------
    run
        Folder of a run, an imported folder, or a .gguf file.
    target
        The folder (hf) or file (gguf) to write.
    to
        The format.
    dtype
        How weights are stored. hf: fp32 (default), bf16, fp16. gguf: f16 (default), f32, bf16, q8_0, q4_0.
    stage
        Take the model of this stage, pretrain or sft; by default the latest that there is.
    json
        Print the result as one line of JSON.
    """
    from groundup.cli.transferred import tell_transferred
    from groundup.core.progress import Reporter
    from groundup.interop.transfer import TYPES, export_model
    from groundup.pipeline.open_model import open_model

    reporter = Reporter()
    opened = open_model(run, stage)
    result = export_model(opened.model, opened.tokenizer, target, to, dtype or TYPES[to][0], reporter)
    if not json:
        tell_transferred(result, reporter)
    return result.facts()
