"""`groundup new`."""

from pathlib import Path


def new(folder: Path, *, data: str, minutes: float = 10.0, json: bool = False) -> dict:
    """Look at your text and this machine, and write a recipe that fits a stated time.

    Parameters
    ----------
    folder
        Where to write recipe.toml.
    data
        Your text: a folder, a file or a glob.
    minutes
        Time that the whole build may take on this machine.
    json
        Print the result as one line of JSON.
    """
    import shlex

    from groundup.core.errors import UserError
    from groundup.core.progress import Reporter
    from groundup.pipeline.new import new_recipe

    if not 0 < minutes < float("inf"):
        raise UserError(f"--minutes {minutes} is not a time", "give a positive number of minutes")
    result = new_recipe(folder, data, minutes, Reporter())
    if not json:
        quoted = shlex.quote(str(folder))
        print(f"{result['recipe']} is written. Build it: groundup build {quoted} --out {quoted}")  # noqa: T201
    return result
