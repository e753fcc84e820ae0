"""The tokenizer in a folder, whoever made it."""

from pathlib import Path

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.config import SPECIAL_TOKENS
from groundup.tokenizer.foreign import ForeignTokenizer
from groundup.tokenizer.tokenizer import Tokenizer


def open_tokenizer(folder: Path, reporter: Reporter) -> BaseTokenizer:
    """One of ours if groundup wrote the folder, else as its files say. Raises UserError if one is missing or broken.

    Ours is told by what only ours has: its four special tokens, no token that begins a text, and a chat template
    that marks what is trained.
    """
    foreign = ForeignTokenizer.load(folder)
    has_ours = not set(SPECIAL_TOKENS) - set(foreign.special_ids) and foreign.bos_id is None
    if not has_ours or not foreign.chat_template or not foreign.template.is_marked:
        return foreign
    try:
        return Tokenizer.load(folder, reporter)
    except UserError:  # not byte-level
        return foreign
