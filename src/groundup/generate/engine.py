"""Continues prompts, token by token, as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from groundup.core.device import Compute
from groundup.core.errors import UserError
from groundup.generate.config import SamplingConfig
from groundup.generate.decoder import Decoder, Prefix
from groundup.generate.sampler import Sampler
from groundup.generate.stop import StopFinder
from groundup.model.language_model import LanguageModel
from groundup.tokenizer.base import BaseTokenizer, StreamDecoder

FinishReason = Literal["end", "stop", "length", "context"]
"""Why a text ended: the model ended it, a stop string came, max_new_tokens, the model's context is full."""


@dataclass(frozen=True)
class Piece:
    """One new token of a row, and the text that became certain with it (often empty)."""

    row: int
    token_id: int
    text: str
    finish_reason: FinishReason | None
    """Set on the last piece of a row."""


@dataclass(frozen=True)
class Completion:
    """A finished text. `token_ids`: all that the model chose, an end token or stop string included."""

    text: str
    token_ids: list[int]
    finish_reason: FinishReason


def collect(pieces: Sequence[Piece]) -> Completion:
    """All pieces of one row as a whole."""
    reason = pieces[-1].finish_reason
    assert reason, "the row has not ended"
    return Completion("".join(piece.text for piece in pieces), [piece.token_id for piece in pieces], reason)


class Engine:
    """One model, its vocabulary, and where it computes.

    On a CPU it computes in fp32 whatever `compute` says: reading weights and overhead decide there, one token at a
    time. Two cores, 6 layers of width 256, 4096 tokens, median of 3: 251 tokens/s in fp32, 238 with bf16 weights,
    223 under autocast.
    """

    def __init__(self, model: LanguageModel, tokenizer: BaseTokenizer, compute: Compute) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._compute = Compute(compute.device, "fp32") if compute.device.type == "cpu" else compute
        self._ends = tokenizer.end_ids
        self._banned = (*sorted(tokenizer.banned_ids), *range(tokenizer.vocab_size, model.vocab_size))

    @property
    def context(self) -> int:
        """The most tokens that the model reads, prompt and text together."""
        return self.model.config.max_seq_len

    def prefix(self) -> Prefix:
        """An empty memory for `stream`, to be handed in again with each longer prompt of a conversation."""
        return Prefix(self.model, self._compute)

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text to continue, with what the model has learned to stand before a text."""
        return self.tokenizer.encode_prompt(text)

    def stream(
        self,
        prompts: Sequence[Sequence[int]],
        config: SamplingConfig,
        *,
        prefix: Prefix | None = None,
        seeds: Sequence[int] = (),
        replies: bool = False,
    ) -> Iterator[Piece]:
        """Continue prompts of any lengths side by side; each row is as if it were alone (Law 8).

        `seeds`: of each row; unless given, row i draws by `config.seed + i`. `replies`: each text stands for
        itself, rather than behind its prompt; then the space that some tokenizers put before a text is taken off.
        Raises UserError if a prompt leaves no room for a token.
        """
        rows = [
            _Row(i, config, self._room(prompt), self.tokenizer.stream(within=not replies), self._ends)
            for i, prompt in enumerate(prompts)
        ]
        seeds = seeds or [config.seed + i for i in range(len(rows))]
        sampler = Sampler(config, prompts, seeds, exempt=tuple(self._ends), banned=self._banned)
        decoder = Decoder(self.model, self._compute, prompts, config.max_new_tokens, prefix)
        logits_BV = decoder.start()
        while True:
            tokens = sampler(logits_BV)
            going = []
            for i, (row, token) in enumerate(zip(rows, tokens, strict=True)):
                piece = row.accept(token)
                if piece.finish_reason is None:
                    going.append(i)
                yield piece
            if not going:
                return
            if len(going) < len(rows):
                rows = [rows[i] for i in going]
                sampler.keep(going)
                decoder.keep(going)
            logits_BV = decoder.step([tokens[i] for i in going])

    def complete(
        self, prompts: Sequence[Sequence[int]], config: SamplingConfig, *, batch_size: int = 16
    ) -> list[Completion]:
        """Continue all prompts to their ends, `batch_size` at a time, those of like length together."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        pieces: list[list[Piece]] = [[] for _ in prompts]
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            seeds = [config.seed + i for i in batch]
            for piece in self.stream([prompts[i] for i in batch], config, seeds=seeds):
                pieces[batch[piece.row]].append(piece)
        return [collect(row) for row in pieces]

    def _room(self, prompt: Sequence[int]) -> int:
        if not prompt:
            raise UserError("the prompt is empty, and this model knows no token that begins a text", "give a prompt")
        if (room := self.context - len(prompt)) < 1:
            raise UserError(
                f"the prompt has {len(prompt)} tokens; the model holds {self.context}, its own text included",
                "shorten the prompt, or train with a larger max_seq_len",
            )
        return room


class _Row:
    """One row's text as it grows."""

    def __init__(
        self, number: int, config: SamplingConfig, room: int, decoder: StreamDecoder, ends: frozenset[int]
    ) -> None:
        self.number = number
        self._most, self._room, self._ends = config.max_new_tokens, room, ends
        self._count = 0
        self._decoder = decoder
        self._finder = StopFinder(config.stop)

    def accept(self, token: int) -> Piece:
        """Take the next token."""
        self._count += 1
        ended = token in self._ends
        text = "" if ended else self._finder.feed(self._decoder.feed(token))
        reason: FinishReason | None = None
        if ended:
            reason = "end"
        elif self._count == self._most:
            reason = "length"
        elif self._count == self._room:
            reason = "context"
        if reason and not self._finder.found:
            text += self._finder.feed(self._decoder.finish())
        if self._finder.found:
            reason = "stop"
        elif reason:
            text += self._finder.finish()
        return Piece(self.number, token, text, reason)
