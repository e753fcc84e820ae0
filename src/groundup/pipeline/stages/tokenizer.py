"""Training documents to a vocabulary."""

from pathlib import Path
from typing import Any

import numpy as np

from groundup.core.files import sha256_of
from groundup.data.documents import iter_documents
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context
from groundup.tokenizer.build import build_tokenizer
from groundup.tokenizer.config import IM_END
from groundup.tokenizer.report import tokenizer_report

_REPORT_BYTES = 8 << 20
"""Characters of held-out text that the report looks at."""
_COUNT_BYTES = 32 << 20
"""Characters of training text in which it looks for tokens that are never used."""


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
        texts = (document.text for document in iter_documents(documents.folder, "train"))
        total = documents.manifest.facts["splits"]["train"]["bytes"]
        tokenizer = build_tokenizer(config, texts, total, context.folder, context.reporter)
        if context.recipe.sft:
            tokenizer.save(context.folder, IM_END)
        gpt2 = Path(config.compare_with) if config.compare_with else None
        held_out = first_texts(documents.folder, "validation", _REPORT_BYTES)
        counts = np.bincount(
            tokenizer.encode_bulk(first_texts(documents.folder, "train", _COUNT_BYTES))[0],
            minlength=tokenizer.vocab_size,
        )
        return tokenizer_report(tokenizer, held_out, gpt2=gpt2, counts=counts)


def first_texts(folder: Path, split: str, limit: int) -> list[str]:
    """Texts of the first documents, until they hold `limit` characters."""
    texts, taken = [], 0
    for document in iter_documents(folder, split):
        texts.append(document.text)
        taken += len(document.text)
        if taken >= limit:
            break
    return texts
