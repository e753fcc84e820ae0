from pathlib import Path

import pytest

from groundup.core.interrupt import Interrupts
from groundup.core.progress import Reporter
from groundup.pipeline.build import BuildOptions, build
from groundup.pipeline.load import load_recipe

CORPUS = Path(__file__).parents[2] / "src" / "groundup"

RECIPE = """
name = "tiny"
[data]
validation_fraction = 0.2
sources = [{{ path = "{corpus}", name = "code" }}]
[tokenizer]
vocab_size = 400
[model]
n_layers = 2
d_model = 32
n_heads = 2
max_seq_len = 64
[pretrain]
steps = 6
global_batch_tokens = 256
evaluations = 2
evaluation_rows = 4
checkpoint_seconds = 0
[sft]
steps = 3
global_batch_tokens = 256
evaluations = 1
evaluation_rows = 4
[sft.conversations.dialogue]
speaker = '(def|class) .*'
border = '^import'
assistant = "{{speech}}"
[eval]
sample_tokens = 8
"""


@pytest.fixture
def recipe_path(tmp_path):
    """A recipe that builds a model of this project's own source code in a few seconds."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus=CORPUS))
    return path


@pytest.fixture
def build_tiny(recipe_path):
    """Build it with overrides."""

    def run(folder, *overrides, until=None, same_as=None):
        options = BuildOptions(until, same_as, "groundup build tiny.toml")
        return build(load_recipe(recipe_path, overrides), folder, options, Reporter(quiet=True), Interrupts())

    return run
