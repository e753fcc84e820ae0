"""`groundup show`."""

from pathlib import Path


def show(run: Path, *, json: bool = False) -> dict:
    """Show the stages, lineage, sizes and scores of a run.

    Parameters
    ----------
    run
        Folder of a run.
    json
        Print the result as one line of JSON.
    """
    from rich.console import Console

    from groundup.pipeline.lineage import describe_run, render_run

    description = describe_run(run)
    if not json:
        Console().print(render_run(description))
    return description
