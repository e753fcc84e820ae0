"""Vocabularies that others made, as a tokenizer.json with the special tokens that groundup needs."""

import base64
import binascii
import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.byte_level import to_characters
from groundup.tokenizer.config import PreTokenizerName
from groundup.tokenizer.pre_tokenizer import PRE_TOKENIZERS
from groundup.tokenizer.train import special_token

_HINT = "give a tokenizer.json, a folder with one or with encoder.json and vocab.bpe, or a *.tiktoken file"


def read_vocabulary(
    path: Path, pre_tokenizer: PreTokenizerName, special_tokens: tuple[str, ...], reporter: Reporter
) -> str:
    """The vocabulary at `path` as a tokenizer.json; its ids stay, missing special tokens come behind them.

    `pre_tokenizer` is the rule for *.tiktoken files, which do not name theirs. Whatever the file adds around
    a text (a token at its beginning, padding, truncation) is dropped: stages place such tokens.
    Raises UserError if the file is missing, damaged or of another kind.
    """
    if path.is_dir() and (path / "tokenizer.json").exists():
        path = path / "tokenizer.json"
    if not path.exists():
        raise UserError(f"there is no vocabulary at {path}", _HINT)
    try:
        if path.is_dir():
            tokenizer = _from_gpt2(path)
        elif path.suffix == ".tiktoken":
            tokenizer = from_ranks(read_ranks(path), pre_tokenizer)
        else:
            tokenizer = Tokenizer.from_str(_plain(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UserError(f"{path} lacks {Path(error.filename).name}", _HINT) from None
    except UserError:
        raise
    except Exception as error:  # `tokenizers` raises bare Exception for every mistake in a file
        raise UserError(f"{path} is not a vocabulary that groundup reads: {error}", _HINT) from None
    if tokenizer.normalizer is not None:
        reporter.warn(f"{path} normalizes text before encoding: not every text comes back as it was")
    tokenizer.add_special_tokens([special_token(content) for content in special_tokens])
    return tokenizer.to_str(pretty=True)


def read_ranks(path: Path) -> dict[bytes, int]:
    """The ranks in a *.tiktoken file: on each line a token in base64 and its rank. Raises UserError."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            if line:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise UserError(f"{path}, line {number}: not a token in base64 and its rank", _HINT) from None
    return ranks


def from_ranks(ranks: dict[bytes, int], pre_tokenizer: PreTokenizerName) -> Tokenizer:
    """The BPE tokenizer with tiktoken's ranks: every way to make a token of two others is a merge.

    One merge a token, as in a trained file, would not do: neighbors can force another way. tiktoken also uses
    a token that no merges reach, for a word that it equals; `ignore_merges` means that.
    """
    rule = PRE_TOKENIZERS[pre_tokenizer]
    vocabulary = {to_characters(token): rank for token, rank in ranks.items()}
    merges = [
        (to_characters(left), to_characters(right))
        for token in sorted(ranks, key=ranks.__getitem__)
        for left, right in _ways_to_make(token, ranks)
    ]
    model = models.BPE(vocabulary, merges)
    model.ignore_merges = rule.ignore_merges or any(len(model.tokenize(word)) > 1 for word in vocabulary)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = rule.build()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _ways_to_make(token: bytes, ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    pairs = [(token[:i], token[i:]) for i in range(1, len(token))]
    known = [(left, right) for left, right in pairs if left in ranks and right in ranks]
    return sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def _from_gpt2(folder: Path) -> Tokenizer:
    vocabulary = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").splitlines()
    merges: list[tuple[str, str]] = []
    for line in lines:
        if line and not line.startswith("#version"):
            left, right = line.split(" ")
            merges.append((left, right))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = PRE_TOKENIZERS["gpt-2"].build()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _plain(source: str) -> str:
    spec = json.loads(source)
    return json.dumps(spec | {"truncation": None, "padding": None, "post_processor": None})
