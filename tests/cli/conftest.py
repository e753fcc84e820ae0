import pytest

from tiny_project import run_groundup, write_project


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """(folder of a recipe, what `groundup build` said when it built it there into runs/tiny)."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    return folder, run_groundup("build", "tiny.toml", "--pretrain.steps", "4", "--json", cwd=folder)
