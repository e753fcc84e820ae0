"""A model of another program, whatever it lies in."""

from pathlib import Path

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.interop.gguf.load import load_gguf
from groundup.interop.hub import download_model
from groundup.interop.hugging_face.load import load_hugging_face
from groundup.interop.loaded import Loaded

_OWN = ("manifest.json", "recipe.json")
"""Files of runs and of their stages."""


def load_foreign(source: str, reporter: Reporter) -> Loaded:
    """A model of another program: a folder of Hugging Face, a .gguf file, or hf:ORG/NAME. Raises UserError."""
    if source.startswith("hf:"):
        return load_hugging_face(download_model(source, reporter), reporter)
    path = Path(source)
    if not path.exists():
        raise UserError(f"{source} does not exist", "give a folder of Hugging Face, a .gguf file or hf:ORG/NAME")
    if any((path / name).exists() for name in _OWN):
        raise UserError(
            f"{source} is a run of groundup, or a part of one",
            "a run needs no import: give its folder to the other commands, with --stage if need be",
        )
    return load_hugging_face(path, reporter) if path.is_dir() else load_gguf(path, reporter)
