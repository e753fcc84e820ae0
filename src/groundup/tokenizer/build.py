"""What the tokenizer stage does: train a vocabulary or take one, and write its folder."""

from collections.abc import Iterable
from pathlib import Path

from groundup.core.progress import Reporter
from groundup.tokenizer.config import TokenizerConfig
from groundup.tokenizer.existing import read_vocabulary
from groundup.tokenizer.tokenizer import Tokenizer
from groundup.tokenizer.train import train_bpe


def build_tokenizer(
    config: TokenizerConfig, texts: Iterable[str], total_bytes: int, folder: Path, reporter: Reporter
) -> Tokenizer:
    """Make the tokenizer that `config` asks for and write it into `folder`.

    `texts` (of `total_bytes` in UTF-8) are read only for training. `config.path` must be absolute or relative
    to the working folder. Raises UserError where the texts or the vocabulary will not do.
    """
    if config.path:
        source = read_vocabulary(Path(config.path), config.pre_tokenizer, config.special_tokens, reporter)
    else:
        source = train_bpe(config, texts, total_bytes, reporter)
    tokenizer = Tokenizer(source, reporter=reporter)
    tokenizer.save(folder)
    return tokenizer
