"""Tokenizers that others made: a folder of Hugging Face, whatever its tokenizer.json holds."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from groundup.core.errors import UserError
from groundup.core.files import write_bytes
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.decoding import read_decoding
from groundup.tokenizer.engine import PlainEngine
from groundup.tokenizer.renamed import RenamedSpecials
from groundup.tokenizer.roles import read_roles, special_tokens_to_add
from groundup.tokenizer.template import ChatTemplate, Segment

SOURCE, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
FILES = (
    *(SOURCE, CONFIG, TEMPLATE, "chat_template.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model"),
)
"""What belongs to a tokenizer. Only the first five are read here; the others serve programs that want them."""

_MODEL_FILES = ("generation_config.json", "config.json")
"""Files of the model that name its first and last token; the model's part writes them."""

_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|eot|>", "<|end|>")
"""With these a turn ends, if the chat template writes them."""


class ForeignTokenizer(BaseTokenizer):
    """A tokenizer as its files say it, encoded by the library that they were written with.

    Made from the content of its files by name (`FILES`, and those of the model); raises UserError naming the
    one that is missing or broken. Ids are those of `transformers` with `add_special_tokens=False`, where that
    runs tokenizer.json too. Some of its classes, if the config names them, build a pre-tokenizer of their own
    (version 5): `LlamaTokenizer` puts no space before a text that begins with one, `GPT2Tokenizer` does not cut
    digits apart. Here the file counts.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)
        self._config = _read(files, CONFIG)
        library = _library(files)
        model_files = [_read(files, name) for name in _MODEL_FILES]
        named = _read(files, "special_tokens_map.json") | self._config
        self._roles, model_ends = read_roles(named, model_files, library)
        library.add_tokens(special_tokens_to_add(self._config, self._roles, library))
        library.no_padding()
        library.no_truncation()
        source = library.to_str()
        spec = json.loads(source)
        super().__init__(source, spec, read_decoding(spec), PlainEngine(library))
        self.chat_template = _chat_template(files, self._config)
        turn_ends = (self.token_ids.get(token) for token in _TURN_ENDS if token in self.chat_template)
        ends = (self.eos_id, *model_ends, *turn_ends)
        self._end_ids = frozenset(token for token in ends if token is not None)
        self._prompt_prefix = _prefix(library)

    @classmethod
    def load(cls, folder: Path) -> "ForeignTokenizer":
        """Read a folder of Hugging Face. Raises UserError where a file is missing or broken."""
        if not (folder / SOURCE).exists():
            raise UserError(
                f"{folder} holds no {SOURCE}",
                "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers writes it",
            )
        try:
            return cls({name: (folder / name).read_bytes() for name in _present(folder)})
        except UserError as error:
            raise UserError(f"{folder}: {error.message}", error.hint) from None

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files as they were read."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if name in self._files:
                write_bytes(folder / name, self._files[name])

    @property
    def roles(self) -> dict[str, str]:
        """See `BaseTokenizer`."""
        return self._roles

    @property
    def prompt_prefix(self) -> tuple[int, ...]:
        """What tokenizer.json's post-processor puts before a text; as in `transformers` 5, it alone decides."""
        return self._prompt_prefix

    @property
    def end_ids(self) -> frozenset[int]:
        """The end of a text by tokenizer and generation config, and the end of a turn in the chat template."""
        return self._end_ids

    @cached_property
    def banned_ids(self) -> frozenset[int]:
        """Ids that have no token."""
        return frozenset(range(self.vocab_size)) - frozenset(self.ids())

    @cached_property
    def template(self) -> ChatTemplate:
        """See `BaseTokenizer`."""
        if not self.chat_template:
            raise UserError("the tokenizer has no chat template", "the model continues text: use groundup generate")
        return ChatTemplate(self.chat_template, self._roles)

    def encode_segments(self, segments: Sequence[Segment]) -> tuple[list[int], list[bool]]:
        """See `BaseTokenizer`. The rendered text is encoded as one, as `transformers` does."""
        return self._renamed.encode_segments(segments)

    @cached_property
    def _renamed(self) -> RenamedSpecials:
        return RenamedSpecials(self._spec, self.special_ids)


def _present(folder: Path) -> list[str]:
    return [name for name in (*FILES, *_MODEL_FILES) if (folder / name).is_file()]


def _read(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A JSON object, empty if the file is not there."""
    try:
        found = json.loads(files.get(name, b"{}"))
    except ValueError as error:
        raise UserError(f"{name} is not JSON: {error}", "copy it again") from None
    if not isinstance(found, dict):
        raise UserError(f"{name} holds no JSON object", "copy it again")
    return found


def _library(files: Mapping[str, bytes]) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(files[SOURCE])
    except Exception as error:  # the library raises bare Exception for every mistake in a file
        raise UserError(f"{SOURCE} is not a tokenizer: {error}", "copy it again") from None


def _prefix(library: tokenizers.Tokenizer) -> tuple[int, ...]:
    bare, framed = (library.encode("a", add_special_tokens=special).ids for special in (False, True))
    starts = [i for i in range(len(framed)) if framed[i : i + len(bare)] == bare]
    return tuple(framed[: starts[0]]) if bare and starts else ()


def _chat_template(files: Mapping[str, bytes], config: dict[str, Any]) -> str:
    if TEMPLATE in files:
        return files[TEMPLATE].decode()
    found = config.get("chat_template") or _read(files, "chat_template.json").get("chat_template") or ""
    if isinstance(found, str):
        return found
    return next((entry["template"] for entry in found if entry["name"] == "default"), "")
