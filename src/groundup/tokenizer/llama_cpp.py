"""How llama.cpp cuts text into words, by the names that GGUF files have for it (`tokenizer.ggml.pre`).

After llama.cpp's src/llama-vocab.cpp, in the spelling of the tokenizer.json files that its rules were made for.
"""

import json
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, normalizers, pre_tokenizers

from groundup.core.errors import UserError
from groundup.tokenizer.pre_tokenizer import PRE_TOKENIZERS, essence

_CASES = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_MARKS = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?{0}*{1}+", r"[^\r\n\p{L}\p{N}]?{0}+{1}*"


def _cased(ending: str, digits: str) -> str:
    """Words that may begin with capitals: Mistral's tekken, GPT-4o."""
    words = "|".join(word.replace("{0}", _CASES[0]).replace("{1}", _CASES[1]) + ending for word in _WORD)
    return rf"{words}|\p{{N}}{digits}{_MARKS}"


_DEEPSEEK_3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Rule:
    """One way of cutting, as tokenizer.json has it."""

    names: tuple[str, ...]
    """What GGUF calls it; the first is written."""
    pre_tokenizer: dict[str, Any]
    ignore_merges: bool = False
    """Whether a word that is a token is taken without merging it up."""
    adds_bos: bool = False
    """Whether texts begin with the beginning-of-text token in files that do not say."""
    normalizer: dict[str, Any] | None = None
    """What the original tokenizers do before cutting, and llama.cpp leaves out."""


def _spec(pre_tokenizer: pre_tokenizers.PreTokenizer) -> dict[str, Any]:
    return json.loads(pre_tokenizer.__getstate__())


def _cut(*patterns: str) -> dict[str, Any]:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _spec(pre_tokenizers.Sequence([*splits, byte_level]))


def _ours(name: str) -> dict[str, Any]:
    return _spec(PRE_TOKENIZERS[name].build())


_GPT2 = PRE_TOKENIZERS["gpt-2"].pattern
RULES = (
    Rule(("gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "gigachat", "a.x-4.0", "mellum"), _ours("gpt-2")),
    Rule(
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
        _ours("llama-3"),
        ignore_merges=True,
        adds_bos=True,
    ),
    Rule(("dbrx", "smaug-bpe"), _ours("llama-3")),
    Rule(
        ("qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "kormo", "f2llmv2"),
        _ours("qwen-2"),
        normalizer=json.loads(normalizers.NFC().__getstate__()),
    ),
    Rule(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
        _ours("smollm"),
    ),
    Rule(("deepseek-v3",), _cut(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", _DEEPSEEK_3)),
    Rule(("tekken",), _cut(_cased("", "")), ignore_merges=True, adds_bos=True),
    Rule(("gpt-4o", "llama4", "kanana2"), _cut(_cased(_ENDINGS, "{1,3}"))),
    Rule(("default",), _cut(r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
)
"""All rules that are known to cut as llama.cpp does."""


def rule_named(name: str) -> Rule:
    """The rule that GGUF calls so. Raises UserError naming those that are known."""
    for rule in RULES:
        if name in rule.names:
            return rule
    known = ", ".join(name for rule in RULES for name in rule.names)
    raise UserError(f"the GGUF file cuts text by the rule '{name}', which is not supported", f"supported: {known}")


def rule_of(spec: dict[str, Any]) -> Rule:
    """The rule that a tokenizer.json follows. Raises UserError if llama.cpp has no such rule."""
    wanted = essence(spec["pre_tokenizer"]), bool(spec["model"].get("ignore_merges"))
    for rule in RULES:
        if (essence(rule.pre_tokenizer), rule.ignore_merges) == wanted:
            return rule
    raise UserError(
        "llama.cpp has no rule that cuts text as this tokenizer does",
        "export to Hugging Face's format instead, which keeps any tokenizer",
    )
