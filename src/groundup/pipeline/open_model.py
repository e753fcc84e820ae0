"""A model to use, wherever it is: a run, an imported folder, or a file of another program."""

from dataclasses import dataclass
from pathlib import Path

from groundup.core.device import Compute, choose_compute
from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.interop.imported import ORIGIN, load_imported
from groundup.model.language_model import LanguageModel
from groundup.pipeline.run import load_run
from groundup.tokenizer.base import BaseTokenizer


@dataclass(frozen=True)
class OpenedModel:
    """A model with its tokenizer, ready to write."""

    source: str
    stage: str
    """The stage of a run that made it; "imported" for models of others."""
    model: LanguageModel
    tokenizer: BaseTokenizer
    compute: Compute

    @property
    def is_chat(self) -> bool:
        """Whether the model was taught to answer: its tokenizer has a template for that."""
        return bool(self.tokenizer.chat_template)


def open_model(source: str, stage: str | None = None, reporter: Reporter | None = None) -> OpenedModel:
    """Open the folder of a run (its `stage`, or the latest that holds a model), an imported folder, a folder of
    Hugging Face, a .gguf file, or hf:ORG/NAME.

    Raises UserError if there is no model, it is damaged, or it cannot be expressed exactly.
    """
    # One token at a time is bound by reading weights and by overhead, where autocast only adds work.
    compute, reporter = choose_compute("auto", "fp32"), reporter or Reporter()
    path = Path(source)
    if not _is_foreign(source):
        model, tokenizer, made_by = load_run(path, stage)
        used = tokenizer if made_by == "sft" else tokenizer.without_template()
        return OpenedModel(source, made_by, model.to(compute.device).eval(), used, compute)
    if stage is not None:
        raise UserError(f"{source} has no stages", "leave --stage out")
    from groundup.interop.foreign import load_foreign  # formats of others, which a run does not need

    loaded = load_imported(path) if (path / ORIGIN).exists() else load_foreign(source, reporter)
    return OpenedModel(source, "imported", loaded.model.to(compute.device).eval(), loaded.tokenizer, compute)


def _is_foreign(source: str) -> bool:
    path = Path(source)
    return source.startswith("hf:") or path.is_file() or (path / ORIGIN).exists() or (path / "config.json").exists()
