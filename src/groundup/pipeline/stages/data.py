"""Sources to documents: cleaned, each once, split into training and validation."""

from typing import Any

from groundup.data.documents import build_documents
from groundup.data.sources import fingerprint
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context


class DataStage:
    """Reads the sources of the recipe."""

    name = "data"
    needs: tuple[str, ...] = ()
    version = 1
    logs: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ("work.sqlite",)

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """The data table, and what the files look like now, so that a changed file is noticed."""
        return {**recipe.data.model_dump(mode="json"), "files": fingerprint(recipe.data)}

    def run(self, context: Context) -> dict[str, Any]:
        """Write Parquet parts of documents and the list of rejects."""
        return build_documents(
            context.recipe.data, context.folder, context.cache, context.recipe.seed, context.reporter
        )
