"""The tokenizers that groundup makes: byte-level BPE with four special tokens."""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.byte_level import BYTE_TO_CHARACTER
from groundup.tokenizer.byte_level import to_bytes as characters_to_bytes
from groundup.tokenizer.config import END_OF_TEXT, IM_END, IM_START, PAD, SPECIAL_TOKENS
from groundup.tokenizer.decoding import Decoding
from groundup.tokenizer.engine import PlainEngine, open_engine
from groundup.tokenizer.folder import CHATML, read_folder, write_folder
from groundup.tokenizer.pre_tokenizer import recognize
from groundup.tokenizer.template import ChatTemplate, Segment

_INVALID = re.compile("([\udc80-\udcff]+)")
"""Bytes that are not UTF-8, as `surrogateescape` decodes them."""


class Tokenizer(BaseTokenizer):
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
        eos_token: str = END_OF_TEXT,
        plain: bool = False,
    ) -> None:
        spec: dict[str, Any] = json.loads(source)
        table = _bytes_of_tokens(spec)
        specials = {token["content"] for token in spec["added_tokens"] if token["special"]}
        if missing := [token for token in SPECIAL_TOKENS if token not in specials]:
            raise UserError(
                f"the vocabulary lacks the special token {missing[0]}",
                "give its file as path in [tokenizer] and build: what is missing is added",
            )
        engine = PlainEngine(source) if plain else open_engine(source, reporter or Reporter())
        super().__init__(source, spec, Decoding(table), engine)
        self.chat_template = chat_template
        self.eos_token = eos_token
        """With which a finished text ends, as Hugging Face's libraries ask: `<|im_end|>` for a model that chats."""
        self._byte_ids = {data[0]: i for i, data in enumerate(table) if data is not None and len(data) == 1}

    @classmethod
    def load(cls, folder: Path, reporter: Reporter | None = None, *, plain: bool = False) -> "Tokenizer":
        """Read a folder that `save` wrote. Raises UserError where a file is missing or damaged."""
        source, chat_template, eos_token = read_folder(folder)
        return cls(source, chat_template, reporter, eos_token=eos_token, plain=plain)

    def save(self, folder: Path, eos_token: str = "") -> None:
        """Write the folder as Hugging Face reads it, with `eos_token` in the place of the tokenizer's own."""
        write_folder(folder, self.source, self.chat_template, eos_token or self.eos_token)

    def without_template(self) -> "Tokenizer":
        """The same vocabulary for a model that was not taught to answer."""
        return Tokenizer(self.source, "")

    @property
    def roles(self) -> dict[str, str]:
        """See `BaseTokenizer`. No token is called the beginning of a text: the end of the one before is."""
        return {"eos_token": self.eos_token, "pad_token": PAD}

    @property
    def prompt_prefix(self) -> tuple[int, ...]:
        """Documents begin behind the end-of-text token, so a prompt does."""
        return (self.eot_id,)

    @property
    def end_ids(self) -> frozenset[int]:
        """See `BaseTokenizer`."""
        return frozenset((self.eot_id, self.im_end_id))

    @property
    def banned_ids(self) -> frozenset[int]:
        """Padding, and the start of a turn, which a model reads and never writes."""
        return frozenset((self.pad_id, self.im_start_id))

    @cached_property
    def template(self) -> ChatTemplate:
        """See `BaseTokenizer`. Without generation markers it is refused: nothing could be trained on (Law 9)."""
        return ChatTemplate(self.chat_template, {"bos_token": "", "eos_token": END_OF_TEXT, "pad_token": PAD})

    def encode_segments(self, segments: Sequence[Segment]) -> tuple[list[int], list[bool]]:
        """See `BaseTokenizer`. Each segment is encoded by itself: the first turns are a prefix of the whole."""
        ids: list[int] = []
        trained: list[bool] = []
        for segment in segments:
            piece = self.encode(segment.text, allow_special=not segment.is_content)
            ids.extend(piece)
            trained.extend([segment.trained] * len(piece))
        return ids, trained

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

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of any bytes: UTF-8 as text, each other byte as a token. `decode_bytes` gives them back."""
        ids: list[int] = []
        for i, part in enumerate(_INVALID.split(data.decode("utf-8", "surrogateescape"))):
            if i % 2:
                ids.extend(self._byte_ids[byte] for byte in part.encode("utf-8", "surrogateescape"))
            elif part:
                ids.extend(self.encode(part))
        return ids


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
