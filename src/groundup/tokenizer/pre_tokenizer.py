"""The rules that cut text into words before merging, as tokenizer.json and llama.cpp spell them."""

import json
from dataclasses import dataclass
from typing import Any, get_args

from tokenizers import Regex, pre_tokenizers

from groundup.tokenizer.config import PreTokenizerName

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class PreTokenizer:
    """One rule. `ignore_merges` (a word that is a token is not merged up) is as llama.cpp has it."""

    name: PreTokenizerName
    llama_cpp: str
    """The value of `tokenizer.ggml.pre` in a GGUF file."""
    pattern: str
    """What one word matches (the regex of tiktoken); for smollm, after each digit was cut off."""
    ignore_merges: bool = False

    def build(self) -> pre_tokenizers.PreTokenizer:
        """The pre-tokenizer as the `tokenizers` library writes it into tokenizer.json."""
        if self.name == "gpt-2":
            return _byte_level(use_regex=True)
        if self.name == "smollm":
            digits = pre_tokenizers.Digits(individual_digits=True)
            return pre_tokenizers.Sequence([digits, _byte_level(use_regex=True)])
        split = pre_tokenizers.Split(Regex(self.pattern), "isolated")
        return pre_tokenizers.Sequence([split, _byte_level(use_regex=False)])


PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    rule.name: rule
    for rule in (
        PreTokenizer("qwen-2", "qwen2", _LLAMA3.replace("{1,3}", "")),
        PreTokenizer("llama-3", "llama-bpe", _LLAMA3, ignore_merges=True),
        PreTokenizer("gpt-2", "gpt-2", _GPT2),
        PreTokenizer("smollm", "smollm", _GPT2),
    )
}
assert tuple(PRE_TOKENIZERS) == get_args(PreTokenizerName)


def recognize(spec: dict[str, Any]) -> PreTokenizer | None:
    """The rule that the `pre_tokenizer` entry of a tokenizer.json spells; None if llama.cpp has no such."""
    wanted = essence(spec)
    for rule in PRE_TOKENIZERS.values():
        if essence(json.loads(rule.build().__getstate__())) == wanted:
            return rule
    return None


def _byte_level(*, use_regex: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def essence(spec: Any) -> Any:
    """A pre-tokenizer's entry without what does not change the words: offsets, the default of `use_regex`."""
    if isinstance(spec, list):
        return [essence(part) for part in spec]
    if not isinstance(spec, dict):
        return spec
    defaults = {"use_regex": True} if spec.get("type") == "ByteLevel" else {}
    return {key: essence(value) for key, value in (defaults | spec).items() if key != "trim_offsets"}
