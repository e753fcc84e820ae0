"""From somebody else's model to a folder of ours, and back, each time held against what was meant."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from groundup.core.errors import UserError
from groundup.core.files import sync_folder, sync_tree
from groundup.core.progress import Reporter
from groundup.interop.foreign import load_foreign
from groundup.interop.gguf.load import load_gguf
from groundup.interop.gguf.quantized import Kind, quantized_copy
from groundup.interop.gguf.save import save_gguf
from groundup.interop.hugging_face.load import load_hugging_face
from groundup.interop.hugging_face.save import rounded_copy, save_hugging_face
from groundup.interop.imported import load_imported, save_imported
from groundup.interop.loaded import Loaded
from groundup.interop.parity import Parity, compare_logits, require_same_ids, require_same_logits
from groundup.model.language_model import LanguageModel
from groundup.tokenizer.base import BaseTokenizer

Target = Literal["hf", "gguf"]
TYPES: dict[Target, tuple[str, ...]] = {
    "hf": ("fp32", "bf16", "fp16"),
    "gguf": ("f16", "f32", "bf16", "q8_0", "q4_0"),
}
"""Types to store weights in, the default first."""
_FOLDER = "model"


@dataclass(frozen=True)
class Transferred:
    """What was written."""

    path: Path
    parameters: int
    family: str
    max_logit_diff: float
    """Between the model with its weights as they are stored and what was read back."""
    rounding_logit_diff: float
    """Between the model and itself with its weights as they are stored; 0 if they lose nothing."""

    def facts(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"path": str(self.path)}


def import_model(source: str, folder: Path, reporter: Reporter) -> Transferred:
    """Read a model of another program and write it into a new `folder`, ready for everything that a run serves for.

    `source`: a folder of Hugging Face, a .gguf file, or hf:ORG/NAME. Raises UserError, and leaves nothing, if it cannot
    be read exactly.
    """
    with _new(folder) as partial:
        loaded = load_foreign(source, reporter)
        save_imported(loaded, partial)
        again = load_imported(partial)
        parity = require_same_logits(loaded.model, again.model, loaded.tokenizer, str(folder))
        require_same_ids(loaded.tokenizer, again, str(folder))
        return Transferred(folder, _parameters(loaded.model), loaded.family, parity.max_logit_diff, 0.0)


def export_model(
    model: LanguageModel, tokenizer: BaseTokenizer, target: Path, to: Target, dtype: str, reporter: Reporter
) -> Transferred:
    """Write a model for other programs: a folder of Hugging Face, or one GGUF file.

    What was written is read back and must compute the same logits and cut texts into the same ids, or nothing is kept.
    Raises UserError for that, and where the format has no architecture that is exactly this model.
    """
    if dtype not in TYPES[to]:
        raise UserError(f"{to} files do not store weights as {dtype!r}", f"choose one of {', '.join(TYPES[to])}")
    if to == "hf":
        return _export(model, tokenizer, target, _hugging_face(dtype), reporter)
    return _export(model, tokenizer, target, _gguf(cast(Kind, dtype)), reporter)


@dataclass(frozen=True)
class _Format:
    write: Callable[[LanguageModel, BaseTokenizer, Path, Reporter], None]
    read: Callable[[Path, Reporter], Loaded]
    stored: Callable[[LanguageModel], LanguageModel]
    """The model with its weights as they are stored."""
    name: str
    """What is written is called so until it is done; _FOLDER is one."""


def _hugging_face(dtype: str) -> _Format:
    def write(model: LanguageModel, tokenizer: BaseTokenizer, path: Path, reporter: Reporter) -> None:
        save_hugging_face(model, tokenizer, path, dtype=dtype, reporter=reporter)

    return _Format(write, load_hugging_face, lambda model: rounded_copy(model, dtype), _FOLDER)


def _gguf(dtype: Kind) -> _Format:
    def write(model: LanguageModel, tokenizer: BaseTokenizer, path: Path, reporter: Reporter) -> None:
        save_gguf(model, tokenizer, path, dtype, reporter=reporter)

    return _Format(write, load_gguf, lambda model: quantized_copy(model, dtype), "model.gguf")


def _export(
    model: LanguageModel, tokenizer: BaseTokenizer, target: Path, form: _Format, reporter: Reporter
) -> Transferred:
    with _new(target, form.name) as partial:
        form.write(model, tokenizer, partial, reporter)
        written = form.read(partial, reporter)
        stored = form.stored(model)
        parity = require_same_logits(stored, written.model, tokenizer, str(target))
        require_same_ids(tokenizer, written, str(target))
        rounding: Parity = compare_logits(model, stored, tokenizer)
        difference = parity.max_logit_diff
        return Transferred(target, _parameters(written.model), written.family, difference, rounding.max_logit_diff)


@contextmanager
def _new(target: Path, name: str = _FOLDER) -> Iterator[Path]:
    """A place beside `target` to write to, which takes its name when the block ends well and is removed if not.

    Raises UserError if there is something already.
    """
    if target.exists():
        raise UserError(f"{target} exists already", "remove it, or give another name")
    scratch = target.with_name(f".{target.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        partial = scratch / name
        if name == _FOLDER:
            partial.mkdir()
        yield partial
        sync_tree(scratch)
        partial.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _parameters(model: LanguageModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
