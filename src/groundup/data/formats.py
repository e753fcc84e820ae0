"""Which file endings are read, and as what. One table."""

from pathlib import PurePosixPath

_CODE = (
    "py pyi js mjs cjs jsx ts tsx c h cc cpp cxx hpp hh cu cuh rs go java kt kts scala swift m rb pl pm php "
    "lua r jl hs ml mli clj ex exs erl lisp el scm zig nim d cs fs vb dart sh bash zsh fish ps1 sql tex bib "
    "rst adoc org toml yaml yml ini cfg conf cmake mk proto graphql css scss less vue svelte v sv vhd asm s"
)
_KINDS = {
    "text": f"txt text md markdown {_CODE}",
    "html": "html htm xhtml",
    "jsonl": "jsonl ndjson",
    "json": "json",
    "csv": "csv",
    "tsv": "tsv",
    "parquet": "parquet",
}
_KIND_OF = {f".{ending}": kind for kind, endings in _KINDS.items() for ending in endings.split()}
_COMPRESSIONS = {".gz": "gz", ".zst": "zst"}


def format_of(name: str) -> tuple[str, str]:
    """(kind, compression) by the ending of a file name; kind is empty where it is not one that is read.

    >>> format_of("a/b.jsonl.gz")
    ('jsonl', 'gz')
    """
    path = PurePosixPath(name.lower())
    compression = _COMPRESSIONS.get(path.suffix, "")
    if compression:
        path = path.with_suffix("")
    return _KIND_OF.get(path.suffix, ""), compression


def ending_of(name: str) -> str:
    """The ending by which a file is counted when it is ignored."""
    return PurePosixPath(name.lower()).suffix or "none"
