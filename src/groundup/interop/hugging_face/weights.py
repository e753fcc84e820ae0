"""Weights as folders of Hugging Face store them: one safetensors file, or several with an index."""

import json
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from groundup.core.errors import UserError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"

# Types as safetensors names them, and as config.json does.
TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_OTHER_FORMATS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.pkl")


class Stored(NamedTuple):
    """Where a tensor lies, and what it is."""

    path: Path
    shape: tuple[int, ...]
    dtype: str


class StoredWeights:
    """All tensors of a folder by name. Only headers are read until a tensor is asked for.

    Raises UserError where there are no safetensors, a file is missing or damaged, or the index does not fit.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, Any] = {}
        self.tensors: dict[str, Stored] = {}
        for path, named in self._listed().items():
            found = self._open(path)
            if named is not None and (absent := sorted(named - found.keys())):
                raise UserError(f"{path} lacks {_some(absent)}, which {INDEX} places there", "copy the folder again")
            self.tensors |= found if named is None else {name: found[name] for name in named}
        if strange := sorted({stored.dtype for stored in self.tensors.values()} - TYPES.keys()):
            names = [name for name, stored in self.tensors.items() if stored.dtype in strange]
            raise UserError(
                f"{folder} holds numbers of type {', '.join(strange)} ({_some(names)})",
                f"only {', '.join(TYPES)} are read; get the model before it was quantized, or as a GGUF file",
            )

    def read(self, name: str) -> Tensor:
        """The tensor, in the type in which it is stored."""
        return self._files[self.tensors[name].path].get_tensor(name)

    @property
    def main_type(self) -> str:
        """The type of most numbers, as config.json names it."""
        sizes: Counter[str] = Counter()
        for stored in self.tensors.values():
            sizes[stored.dtype] += prod(stored.shape)
        return TYPES[sizes.most_common(1)[0][0]]

    def _listed(self) -> dict[Path, set[str] | None]:
        """Each file, and the tensors that the index places in it."""
        if (self._folder / INDEX).exists():
            placed = self._read_index()
            files = {self._folder / name for name in placed.values()}
            if absent := sorted(path.name for path in files if not path.is_file()):
                raise UserError(f"{self._folder} lacks {_some(absent)}, named in {INDEX}", "copy what is missing")
            return {path: {name for name, file in placed.items() if file == path.name} for path in sorted(files)}
        if (self._folder / SINGLE).exists():
            return {self._folder / SINGLE: None}
        if shards := sorted(path.name for path in self._folder.glob("model-*-of-*.safetensors")):
            raise UserError(f"{self._folder} holds {shards[0]} but no {INDEX}", "copy the index too")
        if other := sorted(path.name for kind in _OTHER_FORMATS for path in self._folder.glob(kind)):
            raise UserError(
                f"{self._folder} holds its weights as {other[0]}, a pickle or another format that is not read; only "
                "safetensors are, since a pickle can run code",
                "where you trust it: AutoModelForCausalLM.from_pretrained(OLD).save_pretrained(NEW) of transformers",
            )
        raise UserError(f"{self._folder} holds no {SINGLE}", "give a folder with a model in safetensors")

    def _read_index(self) -> dict[str, str]:
        path = self._folder / INDEX
        try:
            placed = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged: it is no JSON with a weight_map", "copy it again") from None
        if not isinstance(placed, dict) or not placed or not all(_is_file_name(name) for name in placed.values()):
            raise UserError(f"{path} is damaged: weight_map has to name files of this folder", "copy it again")
        return placed

    def _open(self, path: Path) -> dict[str, Stored]:
        try:
            # Held open as long as this object lives: tensors are read when they are asked for.
            file = self._files[path] = safe_open(path, framework="pt").__enter__()
        except (SafetensorError, OSError) as error:
            with path.open("rb") as begun:
                pointer = begun.read(64).startswith(b"version https://git-lfs")
            why = "it is a pointer of git-lfs, not the file itself" if pointer else str(error)
            raise UserError(f"{path} is truncated or damaged: {why}", "copy it again (git lfs pull)") from None
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return {name: Stored(path, tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}


def _is_file_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name


def _some(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
