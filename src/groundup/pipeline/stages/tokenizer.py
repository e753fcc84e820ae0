"""Training documents to a vocabulary."""

from itertools import islice
from pathlib import Path
from typing import Any

from groundup.core.files import sha256_of
from groundup.data.documents import iter_documents
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context
from groundup.tokenizer.config import END_OF_TEXT, IM_END
from groundup.tokenizer.existing import load_existing
from groundup.tokenizer.report import tokenizer_report
from groundup.tokenizer.tokenizer import Tokenizer
from groundup.tokenizer.train import train_bpe

_REPORT_BYTES = 8 << 20
"""Held-out text that the report looks at."""


class TokenizerStage:
    """Trains a vocabulary, or takes one that exists."""

    name = "tokenizer"
    needs: tuple[str, ...] = ("data",)
    version = 1
    logs: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """The tokenizer table, and the content of the vocabulary that it names."""
        config = recipe.tokenizer.model_dump(mode="json")
        path = Path(recipe.tokenizer.path)
        if recipe.tokenizer.path and path.exists():
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            config["content"] = {file.name: sha256_of(file) for file in files if file.is_file()}
        return config | {"chat": recipe.sft is not None}

    def run(self, context: Context) -> dict[str, Any]:
        """Write tokenizer.json and what belongs to it."""
        config, documents = context.recipe.tokenizer, context.inputs["data"]
        if config.path:
            source = load_existing(config)
        else:
            texts = (document.text for document in iter_documents(documents.folder, "train"))
            total = documents.manifest.facts["splits"]["train"]["bytes"]
            source = train_bpe(config, texts, total, context.reporter)
        tokenizer = Tokenizer(source)
        tokenizer.save(context.folder, IM_END if context.recipe.sft else END_OF_TEXT)
        return tokenizer_report(tokenizer, self._held_out(documents.folder))

    def _held_out(self, folder: Path) -> list[str]:
        texts: list[str] = []
        for document in islice(iter_documents(folder, "validation"), 100_000):
            texts.append(document.text)
            if sum(map(len, texts)) > _REPORT_BYTES:
                break
        return texts
