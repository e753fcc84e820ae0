"""What comes of reading somebody else's model."""

from dataclasses import dataclass

from groundup.model.language_model import LanguageModel
from groundup.tokenizer.base import BaseTokenizer


@dataclass(frozen=True)
class Loaded:
    """A model of another program as one of ours, in fp32 on the CPU."""

    model: LanguageModel
    tokenizer: BaseTokenizer
    family: str
    """The architecture as its format names it: `model_type`, or `general.architecture`."""
    dtype: str
    """Type in which most weights were stored, as the format names it: bfloat16, Q4_1, …"""
    source: str
    """Where it was read from."""
