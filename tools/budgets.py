"""Size budgets of the house: a file at most 500 lines, a function at most 60, at most 8 arguments."""

import ast
import sys
from pathlib import Path

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_ARGUMENTS = 500, 60, 8
FOLDERS = ("src", "tests", "tools", "bench")


def violations(path: Path) -> list[str]:
    """One line for each budget that the file exceeds."""
    source = path.read_text(encoding="utf-8")
    found = []
    if (lines := source.count("\n")) > MAX_FILE_LINES:
        found.append(f"{path}: {lines} lines; at most {MAX_FILE_LINES}")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        arguments = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
        arguments -= bool(node.args.args and node.args.args[0].arg in ("self", "cls"))
        if length > MAX_FUNCTION_LINES:
            found.append(f"{path}:{node.lineno}: {node.name} has {length} lines; at most {MAX_FUNCTION_LINES}")
        if arguments > MAX_ARGUMENTS:
            found.append(f"{path}:{node.lineno}: {node.name} has {arguments} arguments; at most {MAX_ARGUMENTS}")
    return found


def main() -> int:
    """Print every violation; the exit code says whether there was one."""
    paths = [path for folder in FOLDERS for path in sorted(Path(folder).rglob("*.py"))]
    found = [line for path in paths for line in violations(path)]
    print("\n".join(found) or f"budgets held by {len(paths)} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
