"""`groundup build`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def build(
    recipe: Path,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Path | None = None,
    until: str | None = None,
    same_as: Path | None = None,
    json: bool = False,
) -> dict:
    """Build a recipe: raw text in, a model that you can talk to out.

    Stages that are up to date are skipped; one that was cut off goes on from where it was.

    Parameters
    ----------
    recipe
        A recipe.toml, or a folder that holds one.
    overrides
        Any key of the recipe with another value: --pretrain.lr 3e-4 --model.d_model 384.
    out
        Folder of the run; runs/NAME by default.
    until
        Stop after this stage: data, tokenizer, tokens, pretrain, sft or eval.
    same_as
        Take the step counts and other decisions of this finished run: on the same kind of machine, the
        same weights come out.
    json
        Print the result as one line of JSON.
    """
    from groundup.core.interrupt import Interrupts
    from groundup.core.progress import Reporter
    from groundup.pipeline.build import BuildOptions
    from groundup.pipeline.build import build as build_run
    from groundup.pipeline.load import load_recipe

    loaded = load_recipe(recipe, overrides)
    run = out or Path("runs") / loaded.name
    command = shlex.join(["groundup", *sys.argv[1:]])
    with Interrupts().installed() as interrupts:
        result = build_run(loaded, run, BuildOptions(until, same_as, command), Reporter(), interrupts)
    if not json:
        print(result.farewell())  # noqa: T201
    return result.as_json()
