"""Sources to documents: cleaned, each once, split into training and validation."""

from typing import Any

from groundup.data.documents import build_documents
from groundup.data.sources.listing import file_stamps
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Context


class DataStage:
    """Reads the sources of the recipe."""

    name = "data"
    needs: tuple[str, ...] = ()
    version = 1
    logs: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ("work.sqlite", ".finished")

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """The data table, and what the files look like now, so that a changed file is noticed."""
        return {**recipe.data.model_dump(mode="json"), "files": file_stamps(recipe.data)}

    def run(self, context: Context) -> dict[str, Any]:
        """Write Parquet parts of documents and the list of rejects."""
        return build_documents(
            context.recipe.data, context.folder, context.cache, context.recipe.seed, context.reporter
        )
