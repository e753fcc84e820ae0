"""Run folders to make reports of."""

from pathlib import Path

import pytest
from made_run import INPUTS, MakeRun, write_run


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run into a fresh folder; takes the finished stages."""
    return lambda *stages: write_run(tmp_path / "run", stages or tuple(INPUTS))
