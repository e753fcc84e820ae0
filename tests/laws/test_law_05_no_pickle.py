"""Law 5: nothing on disk is a pickle, and none is ever read."""

import ast
from pathlib import Path

SOURCES = sorted(Path(__file__).parents[2].joinpath("src").rglob("*.py"))
FORBIDDEN = {("torch", "load"), ("torch", "save"), ("pickle", "load"), ("pickle", "loads"), ("pickle", "dump")}


def test_no_code_reads_or_writes_a_pickle():
    assert SOURCES
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "")]
                assert not {"pickle", "shelve", "joblib", "dill", "cloudpickle"} & set(names), path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in FORBIDDEN, f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only"):
                assert isinstance(node.value, ast.Constant)
                assert node.value.value is (node.arg == "weights_only"), f"{path}:{node.value.lineno}"
