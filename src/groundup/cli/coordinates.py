"""`groundup coordinates`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from groundup.lab.coordinates import Coordinates
    from groundup.model.config import ModelConfig


def coordinates(
    recipe: Path,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    widths: tuple[int, ...] = (64, 128, 256, 512),
    steps: int = 5,
    json: bool = False,
) -> dict:
    """Show how large activations are over widths, with and without maximal update parametrization.

    Trains the model of a recipe at each width for a few steps on random tokens. Where sizes grow with the width, a
    learning rate that was found for a narrow model is too large for a wide one. Seconds to a minute on two cores.

    Parameters
    ----------
    recipe
        A recipe; its [model] and the optimizer of its [pretrain] are used. Any key may be given as --table.key value.
    widths
        Values of d_model, the smallest as the base width of muP; give it once for each.
    steps
        Steps of training.
    json
        Print the result as one line of JSON.
    """
    from groundup.core.errors import UserError
    from groundup.core.progress import Reporter
    from groundup.lab.coordinates import at_width, check_coordinates
    from groundup.pipeline.load import load_recipe

    loaded = load_recipe(recipe, overrides)
    chosen = tuple(sorted(set(widths)))
    if len(chosen) < 2 or chosen[0] < 8 or steps < 1:
        raise UserError("the check needs two or more widths of at least 8, and one or more steps", "see --help")
    reporter = Reporter()
    results = {}
    for name, base in (("standard", 0), ("muP", chosen[0])):
        config: ModelConfig = at_width(loaded.model, chosen[0]).model_copy(update={"mup_base_width": base})
        found = check_coordinates(config, loaded.pretrain, chosen, steps, loaded.seed, reporter)
        results[name] = found
        if not json:
            _show(name, found)
    return {
        name: {"widths": found.widths, "sizes": found.sizes, "growth": {p: found.growth(p) for p in found.sizes}}
        for name, found in results.items()
    }


def _show(name: str, found: "Coordinates") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{name}: mean |activation| after the last step", title_justify="left")
    table.add_column("place")
    for width in found.widths:
        table.add_column(f"width {width}", justify="right")
    table.add_column("growth", justify="right")
    for place, sizes in found.sizes.items():
        cells = [f"{of_width[-1]:.3g}" for of_width in sizes]
        table.add_row(place, *cells, f"width^{found.growth(place):+.2f}")
    Console().print(table)
