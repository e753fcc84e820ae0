"""What a tokenizer is to all other parts, whoever made it: text to ids and back, exactly."""

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundup.core.errors import UserError
from groundup.tokenizer.decoding import Decoding, vocabulary_of
from groundup.tokenizer.engine import Engine
from groundup.tokenizer.template import ChatTemplate, Segment

_HASHED = ("added_tokens", "normalizer", "pre_tokenizer", "model")
"""What decides the ids of a text; padding, truncation and the like are left to who asks for them."""


class BaseTokenizer(ABC):
    """A vocabulary with its special tokens and chat template; final classes say how documents begin and end.

    `source` is the tokenizer.json that the engine runs.
    """

    chat_template: str
    """The Jinja2 source as its maker wrote it; empty where there is none."""

    def __init__(self, source: str, spec: dict[str, Any], decoding: Decoding, engine: Engine) -> None:
        self.source = source
        self._spec = spec
        self._decoding = decoding
        self._engine = engine
        self.special_ids: dict[str, int] = {
            token["content"]: token["id"] for token in spec["added_tokens"] if token["special"]
        }
        """The ids of tokens that steer a model rather than stand for text."""

    @property
    @abstractmethod
    def roles(self) -> dict[str, str]:
        """The tokens of a role by Hugging Face's names: bos_token, eos_token, unk_token, pad_token. Some lack."""

    @property
    @abstractmethod
    def prompt_prefix(self) -> tuple[int, ...]:
        """Ids that stand before a text that is not a conversation, as the model has learned it."""

    @property
    @abstractmethod
    def end_ids(self) -> frozenset[int]:
        """Ids with which a model ends what it writes."""

    @property
    @abstractmethod
    def banned_ids(self) -> frozenset[int]:
        """Ids below `vocab_size` that a model must never write."""

    @cached_property
    @abstractmethod
    def template(self) -> ChatTemplate:
        """The chat template, ready to render. Raises UserError where there is none."""

    @abstractmethod
    def encode_segments(self, segments: Sequence[Segment]) -> tuple[list[int], list[bool]]:
        """Ids (T) of a rendered conversation, and which of them are trained (T).

        What a message holds never becomes a special token.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into `folder` as Hugging Face reads them."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included: all ids are below it."""
        return len(self._decoding.table)

    @property
    def spec(self) -> dict[str, Any]:
        """The tokenizer.json as values; not to be changed."""
        return self._spec

    @property
    def engine_name(self) -> str:
        """The library that encodes: fastokens or tokenizers."""
        return self._engine.name

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what decides the ids of a text. The chat template is no part of it."""
        essence = {key: self._spec.get(key) for key in _HASHED}
        text = json.dumps(essence, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def bos_id(self) -> int | None:
        """The token that its maker calls the beginning of a text, whether or not prompts begin with it."""
        return self.role_id("bos_token")

    @property
    def eos_id(self) -> int | None:
        """The token that its maker calls the end of a text."""
        return self.role_id("eos_token")

    @property
    def unk_id(self) -> int | None:
        """The token in place of what the vocabulary cannot write; vocabularies with all bytes have none."""
        return self.role_id("unk_token")

    @property
    def pad_id(self) -> int | None:
        """The token that fills rows."""
        return self.role_id("pad_token")

    def role_id(self, role: str) -> int | None:
        """The id of the token of a role (see `roles`)."""
        token = self.roles.get(role)
        return None if token is None else self.token_ids.get(token)

    @cached_property
    def token_ids(self) -> dict[str, int]:
        """The id of each token, spelled as the vocabulary spells it."""
        return vocabulary_of(self._spec)

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Ids of `text`, nothing before or behind. What looks like a special token is text unless `allow_special`."""
        return self._engine.encode(text, allow_special=allow_special)

    def encode_bulk(self, texts: list[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Ids of many texts end to end (N), and offsets (len(texts) + 1) of each text in them.

        Text i is `ids[offsets[i]:offsets[i + 1]]`. Special tokens in them are ordinary text. Uses all cores.
        """
        return self._engine.encode_bulk(texts)

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text to continue, with what stands before it; of no text, what begins one.

        Raises UserError if there is no text and the vocabulary has no token that begins one.
        """
        if ids := [*self.prompt_prefix, *self.encode(text)]:
            return ids
        if self.bos_id is None:
            raise UserError("the prompt is empty, and the model has no token that begins a text", "give a prompt")
        return [self.bos_id]

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one id stands for. Raises IndexError for an id outside the vocabulary."""
        table = self._decoding.table
        data = table[token] if 0 <= token < len(table) else None
        if data is None:
            raise IndexError(f"token {token} is not in the vocabulary of {len(table)}")
        return data

    def ids(self) -> list[int]:
        """All ids that have a token."""
        return [i for i, data in enumerate(self._decoding.table) if data is not None]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of all ids one after the other."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Iterable[int], *, skip_special: bool = False) -> str:
        """The text of `ids`; bytes that are not UTF-8 show as U+FFFD.

        Where encoding puts a space before a text (SentencePiece), decoding takes it off again.
        """
        stream = self.stream(skip_special=skip_special)
        return stream.feed(*ids) + stream.finish()

    def stream(self, *, skip_special: bool = False, within: bool = False) -> "StreamDecoder":
        """A decoder for ids that come one after the other; `within`: other text stands before them."""
        return StreamDecoder(self, self._decoding, skip_special=skip_special, within=within)


class StreamDecoder:
    """Gives text as ids arrive, never half a character; the pieces and `finish()` make `decode(ids)`."""

    def __init__(self, tokenizer: BaseTokenizer, decoding: Decoding, *, skip_special: bool, within: bool) -> None:
        self._tokenizer = tokenizer
        self._skipped = set(tokenizer.special_ids.values()) if skip_special else set()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._spaces = 0 if within else decoding.leading_spaces

    def feed(self, *ids: int) -> str:
        """The text that became certain with these ids; often empty within a character."""
        data = self._tokenizer.decode_bytes(token for token in ids if token not in self._skipped)
        while self._spaces and data:
            if data.startswith(b" "):
                self._spaces, data = self._spaces - 1, data[1:]
            else:
                self._spaces = 0
        return self._decoder.decode(data)

    def finish(self) -> str:
        """What is left: U+FFFD for a character that never became whole."""
        return self._decoder.decode(b"", final=True)
