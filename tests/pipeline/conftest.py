import pytest

from groundup.core.interrupt import Interrupts
from groundup.core.progress import Reporter
from groundup.pipeline.build import BuildOptions, build
from groundup.pipeline.load import load_recipe
from tiny_project import CODE, RECIPE, SFT


@pytest.fixture
def recipe_path(tmp_path):
    """A recipe that builds a model of this project's own source code in a few seconds."""
    path = tmp_path / "tiny.toml"
    path.write_text((RECIPE + SFT).replace('"text"', f'"{CODE}"'))
    return path


@pytest.fixture
def build_tiny(recipe_path):
    """Build it with overrides."""

    def run(folder, *overrides, until=None, same_as=None):
        options = BuildOptions(until, same_as, "groundup build tiny.toml")
        return build(load_recipe(recipe_path, overrides), folder, options, Reporter(quiet=True), Interrupts())

    return run
