"""Where each key of a TOML file stands, so that an error can point at it."""

from collections.abc import Iterator

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

# A place in a recipe: keys and indices from the top, as pydantic reports them.
Path = tuple[str | int, ...]
# Line and column, both from 1.
Position = tuple[int, int]


def locate(source: str) -> dict[Path, Position]:
    """Line and column of every table, key and array element of valid TOML."""
    tree = Parser(Language(tree_sitter_toml.language())).parse(source.encode())
    found: dict[Path, Position] = {}
    for path, node in _walk_document(tree.root_node):
        found.setdefault(path, (node.start_point.row + 1, node.start_point.column + 1))
    return found


def nearest_position(found: dict[Path, Position], path: Path) -> Position | None:
    """Position of `path`, or of the closest thing around it that is written down."""
    while path not in found and path:
        path = path[:-1]
    return found.get(path)


def _walk_document(root: Node) -> Iterator[tuple[Path, Node]]:
    array_lengths: dict[Path, int] = {}
    for child in root.named_children:
        if child.type == "pair":
            yield from _walk_pair((), child)
        elif child.type in ("table", "table_array_element"):
            key = child.named_children[0]
            prefix: Path = _keys(key)
            if child.type == "table_array_element":
                index = array_lengths[prefix] = array_lengths.get(prefix, -1) + 1
                prefix = (*prefix, index)
            yield prefix, key
            for pair in child.named_children[1:]:
                if pair.type == "pair":
                    yield from _walk_pair(prefix, pair)


def _walk_pair(prefix: Path, pair: Node) -> Iterator[tuple[Path, Node]]:
    key, value = pair.named_children[:2]
    path = prefix + _keys(key)
    yield path, key
    yield from _walk_value(path, value)


def _walk_value(path: Path, value: Node) -> Iterator[tuple[Path, Node]]:
    if value.type == "inline_table":
        for pair in value.named_children:
            if pair.type == "pair":
                yield from _walk_pair(path, pair)
    elif value.type == "array":
        elements = [child for child in value.named_children if child.type != "comment"]
        for index, element in enumerate(elements):
            yield (*path, index), element
            yield from _walk_value((*path, index), element)


def _keys(node: Node) -> tuple[str, ...]:
    if node.type == "dotted_key":
        return tuple(key for child in node.named_children for key in _keys(child))
    text = (node.text or b"").decode()
    return (text.strip("\"'"),)
