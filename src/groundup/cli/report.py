"""`groundup report`."""

from pathlib import Path


def report(run: Path, *, json: bool = False) -> dict:
    """Write RUN/report.html: one page that holds everything, offline.

    Parameters
    ----------
    run
        Folder of a run.
    json
        Print the result as one line of JSON.
    """
    from groundup.report.page import write_report

    path = write_report(run)
    if not json:
        print(path)  # noqa: T201
    return {"report": str(path)}
