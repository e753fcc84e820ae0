"""Training a byte-level BPE vocabulary (Sennrich et al. 2016; on bytes: Radford et al. 2019)."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, trainers

from groundup.core.errors import UserError
from groundup.core.progress import ProgressTask, Reporter
from groundup.tokenizer.byte_level import BYTE_TO_CHARACTER
from groundup.tokenizer.config import TokenizerConfig
from groundup.tokenizer.pre_tokenizer import PRE_TOKENIZERS

_PIECE_CHARACTERS = 1 << 16
"""Texts are sampled and fed in pieces of this length, so that one long book neither fills the memory nor
is taken or left as a whole."""

_HEARTBEAT_SECONDS = 0.5


def train_bpe(config: TokenizerConfig, texts: Iterable[str], total_bytes: int, reporter: Reporter) -> str:
    """Learn a vocabulary of `config.vocab_size` tokens; returns a tokenizer.json.

    `total_bytes` is the size of all `texts` in UTF-8; where it exceeds `config.sample_bytes`, an even sample
    is used. The same texts in the same order give the same bytes. Ids: the 256 bytes, the merges, the
    special tokens.

    Raises UserError if the texts do not support so many merges.
    """
    rule = PRE_TOKENIZERS[config.pre_tokenizer]
    tokenizer = Tokenizer(models.BPE(ignore_merges=rule.ignore_merges))
    tokenizer.pre_tokenizer = rule.build()
    tokenizer.decoder = decoders.ByteLevel()
    ordinary = config.vocab_size - len(config.special_tokens)
    trainer = trainers.BpeTrainer(
        vocab_size=ordinary,
        min_frequency=config.min_frequency,
        initial_alphabet=list(BYTE_TO_CHARACTER),
        show_progress=False,
    )
    pieces = _collect(texts, total_bytes, config.sample_bytes, reporter)
    with reporter.task("tokenizer: learning", sum(size for _, size in pieces), "B") as task:
        _beside(lambda: tokenizer.train_from_iterator(_counted(pieces, task), trainer), task)
    if (learned := tokenizer.get_vocab_size()) < ordinary:
        supported = learned + len(config.special_tokens)
        raise UserError(
            f"the text supports a vocabulary of {supported} tokens, not of {config.vocab_size}",
            f"set vocab_size = {supported} or less in [tokenizer], or give more text",
        )
    tokenizer.add_special_tokens([special_token(content) for content in config.special_tokens])
    return tokenizer.to_str(pretty=True)


def special_token(content: str) -> AddedToken:
    """A special token that is found in text exactly as it is written."""
    return AddedToken(content, special=True, normalized=False)


def sample_pieces(texts: Iterable[str], total_bytes: int, sample_bytes: int) -> Iterator[tuple[str, int]]:
    """Pieces of the texts with their sizes in bytes, about `sample_bytes` in all and never more.

    A piece is chosen by a hash of what it says, so the choice depends neither on its place nor on the run.
    """
    threshold = min(1.0, sample_bytes / max(total_bytes, 1)) * 2.0**64
    taken = 0
    for text in texts:
        for start in range(0, len(text), _PIECE_CHARACTERS):
            piece = text[start : start + _PIECE_CHARACTERS]
            data = piece.encode()
            if int.from_bytes(hashlib.blake2b(data, digest_size=8).digest()) >= threshold:
                continue
            taken += len(data)
            if taken > sample_bytes:
                return
            yield piece, len(data)


def _collect(texts: Iterable[str], total_bytes: int, sample_bytes: int, reporter: Reporter) -> list[tuple[str, int]]:
    pieces = []
    with reporter.task("tokenizer: reading", min(total_bytes, sample_bytes), "B") as task:
        for piece, size in sample_pieces(texts, total_bytes, sample_bytes):
            pieces.append((piece, size))
            task.advance(size)
    return pieces


def _counted(pieces: list[tuple[str, int]], task: ProgressTask) -> Iterator[str]:
    task.advance(0, note="counting words")
    for piece, size in pieces:
        yield piece
        task.advance(size)
    task.advance(0, note="merging")


def _beside(work: Callable[[], None], task: ProgressTask) -> None:
    """Run `work` beside the calling thread: the library does not heed signals, which come to the main thread.

    If this thread is stopped, the work ends with the process.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_HEARTBEAT_SECONDS)
        task.advance(0)
    if failures:
        raise failures[0]
