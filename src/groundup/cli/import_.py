"""`groundup import`."""

from pathlib import Path


def import_(source: str, folder: Path, *, json: bool = False) -> dict:
    """Read a model of another program into a new folder that serves wherever a run does.

    Exact or not at all: what this program cannot express, a weight that is missing, of another shape or left over, is
    refused by name. Nothing of a model is run as code; pickled weights are refused.

    Parameters
    ----------
    source
        A folder of Hugging Face (config.json, *.safetensors, tokenizer.json), a .gguf file, or hf:ORG/NAME.
    folder
        The folder to make.
    json
        Print the result as one line of JSON.
    """
    from groundup.cli.transferred import tell_transferred
    from groundup.core.progress import Reporter
    from groundup.interop.transfer import import_model

    reporter = Reporter()
    result = import_model(source, folder, reporter)
    if not json:
        tell_transferred(result, reporter)
        reporter.say(f"talk to it with `groundup chat {folder}`, or `groundup generate {folder} --prompt TEXT`")
    return result.facts()
