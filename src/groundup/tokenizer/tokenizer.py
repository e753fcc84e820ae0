"""The tokenizer that all other parts use: text to ids and back, exactly."""

import codecs
import hashlib
import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.byte_level import BYTE_TO_CHARACTER
from groundup.tokenizer.byte_level import to_bytes as characters_to_bytes
from groundup.tokenizer.config import END_OF_TEXT, IM_END, IM_START, PAD, SPECIAL_TOKENS
from groundup.tokenizer.engine import Engine, PlainEngine, open_engine
from groundup.tokenizer.folder import CHATML, read_folder, write_folder
from groundup.tokenizer.pre_tokenizer import recognize

_HASHED = ("added_tokens", "normalizer", "pre_tokenizer", "model")
"""What decides the ids of a text; padding, truncation and the like are left to who asks for them."""

_INVALID = re.compile("([\udc80-\udcff]+)")
"""Bytes that are not UTF-8, as `surrogateescape` decodes them."""


class Tokenizer:
    """A byte-level BPE vocabulary with its special tokens and chat template.

    Made from the text of a tokenizer.json; raises UserError if that is not byte-level BPE or lacks a special
    token. Encodes by the fast engine, or by the plain one where `plain` asks for it, or where the fast one
    cannot: then `reporter` gets a warning.
    """

    def __init__(
        self,
        source: str,
        chat_template: str = CHATML,
        reporter: Reporter | None = None,
        *,
        plain: bool = False,
    ) -> None:
        self.source = source
        self.chat_template = chat_template
        self._spec: dict[str, Any] = json.loads(source)
        self._bytes = _bytes_of_tokens(self._spec)
        self.special_ids: dict[str, int] = {
            token["content"]: token["id"] for token in self._spec["added_tokens"] if token["special"]
        }
        if missing := [token for token in SPECIAL_TOKENS if token not in self.special_ids]:
            raise UserError(
                f"the vocabulary lacks the special token {missing[0]}",
                "give its file as path in [tokenizer] and build: what is missing is added",
            )
        self._engine: Engine = PlainEngine(source) if plain else open_engine(source, reporter or Reporter())
        self._byte_ids = {data[0]: i for i, data in enumerate(self._bytes) if data is not None and len(data) == 1}

    @classmethod
    def load(cls, folder: Path, reporter: Reporter | None = None, *, plain: bool = False) -> "Tokenizer":
        """Read a folder that `save` wrote. Raises UserError where a file is missing or damaged."""
        source, chat_template = read_folder(folder)
        return cls(source, chat_template, reporter, plain=plain)

    def save(self, folder: Path, eos_token: str = END_OF_TEXT) -> None:
        """Write the folder as Hugging Face reads it; `eos_token` is `<|im_end|>` for a model that chats."""
        write_folder(folder, self.source, self.chat_template, eos_token)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included: all ids are below it."""
        return len(self._bytes)

    @property
    def engine_name(self) -> str:
        """The library that encodes: fastokens, or tokenizers where that cannot."""
        return self._engine.name

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what decides the ids of a text. The chat template is no part of it."""
        essence = {key: self._spec.get(key) for key in _HASHED}
        text = json.dumps(essence, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def llama_cpp_name(self) -> str | None:
        """The pre-tokenizer as GGUF names it (`tokenizer.ggml.pre`); None if llama.cpp encodes otherwise."""
        rule = recognize(self._spec["pre_tokenizer"])
        ignores_merges = self._spec["model"].get("ignore_merges", False)
        if rule is None or self._spec["normalizer"] is not None or ignores_merges != rule.ignore_merges:
            return None
        return rule.llama_cpp

    @property
    def eot_id(self) -> int:
        """End of a document."""
        return self.special_ids[END_OF_TEXT]

    @property
    def pad_id(self) -> int:
        """Padding: never part of a text, never predicted."""
        return self.special_ids[PAD]

    @property
    def im_start_id(self) -> int:
        """Start of a turn."""
        return self.special_ids[IM_START]

    @property
    def im_end_id(self) -> int:
        """End of a turn."""
        return self.special_ids[IM_END]

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Ids of `text`. What looks like a special token is ordinary text unless `allow_special`."""
        return self._engine.encode(text, allow_special=allow_special)

    def encode_bulk(self, texts: list[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Ids of many texts end to end (N), and offsets (len(texts) + 1) of each text in them.

        Text i is `ids[offsets[i]:offsets[i + 1]]`. Special tokens in them are ordinary text. Uses all cores.
        """
        return self._engine.encode_bulk(texts)

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of any bytes: UTF-8 as text, each other byte as a token. `decode_bytes` gives them back."""
        ids: list[int] = []
        for i, part in enumerate(_INVALID.split(data.decode("utf-8", "surrogateescape"))):
            if i % 2:
                ids.extend(self._byte_ids[byte] for byte in part.encode("utf-8", "surrogateescape"))
            elif part:
                ids.extend(self.encode(part))
        return ids

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one id stands for. Raises IndexError for an id outside the vocabulary."""
        data = self._bytes[token] if 0 <= token < len(self._bytes) else None
        if data is None:
            raise IndexError(f"token {token} is not in the vocabulary of {len(self._bytes)}")
        return data

    def ids(self) -> list[int]:
        """All ids that have a token."""
        return [i for i, data in enumerate(self._bytes) if data is not None]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of any sequence of ids."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Iterable[int], *, skip_special: bool = False) -> str:
        """The text of `ids`; bytes that are not UTF-8 show as U+FFFD."""
        special = set(self.special_ids.values()) if skip_special else set()
        return self.decode_bytes(token for token in ids if token not in special).decode("utf-8", "replace")

    def stream(self, *, skip_special: bool = False) -> "StreamDecoder":
        """A decoder for ids that come one after the other."""
        return StreamDecoder(self, skip_special=skip_special)


class StreamDecoder:
    """Gives text as ids arrive, never half a character; the pieces and `finish()` make `decode(ids)`."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool) -> None:
        self._tokenizer = tokenizer
        self._skipped = set(tokenizer.special_ids.values()) if skip_special else set()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, *ids: int) -> str:
        """The text that became certain with these ids; often empty within a character."""
        return self._decoder.decode(self._tokenizer.decode_bytes(token for token in ids if token not in self._skipped))

    def finish(self) -> str:
        """What is left: U+FFFD for a character that never became whole."""
        return self._decoder.decode(b"", final=True)


def _bytes_of_tokens(spec: dict[str, Any]) -> list[bytes | None]:
    """The bytes of each id (None: no token has it). Raises UserError if this is not byte-level BPE."""
    model = spec["model"]
    hint = "use a byte-level BPE vocabulary such as GPT-2's, Llama 3's or Qwen's, or train one"
    if model.get("type") != "BPE" or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise UserError(f"the vocabulary is not byte-level BPE ({model.get('type')} with affixes or pieces)", hint)
    if missing := [character for character in BYTE_TO_CHARACTER if character not in model["vocab"]]:
        raise UserError(f"the vocabulary is not byte-level: it lacks {len(missing)} of the 256 bytes", hint)
    added = {token["id"]: token["content"].encode() for token in spec["added_tokens"]}
    table: list[bytes | None] = [None] * (max([*model["vocab"].values(), *added]) + 1)
    for characters, token in model["vocab"].items():
        if token not in added:
            try:
                table[token] = characters_to_bytes(characters)
            except KeyError as error:
                raise UserError(f"the vocabulary is not byte-level: token {token} holds {error}", hint) from None
    for token, data in added.items():
        table[token] = data
    return table
