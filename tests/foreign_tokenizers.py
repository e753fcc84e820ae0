"""Tokenizers in the shapes of well-known families, small and trained on the spot: their files cannot be had here.

`write_tokenizer(family, folder)` writes what a Hugging Face folder of that family holds of its tokenizer.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

CORPORA = Path(__file__).parents[2] / "shared" / "data" / "corpora"
TEMPLATES = Path(__file__).parent / "chat_templates"
TEXT = (
    "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer 1234 slings.\n"
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. L'œuvre déjà vue, ça va?\n"
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.\n"
    "いろはにほへと ちりぬるを 我が世誰ぞ 常ならむ。天地玄黄宇宙洪荒。다람쥐 헌 쳇바퀴에 타고파.\n"
    "نص حكيم له سر قاطع وذو شأن عظيم. דג סקרן שט בים מאוכזב. ऋषियों को सताने वाले।\n"
    "def read(path: str) -> list[int]:\n    return [int(x) for x in open(path)]  # 1 + 2 == 3\n\n"
) * 6

_GPT2_NUMBERS = r"\p{N}{1,3}"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace("{1,3}", "")
_DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Family:
    """How one family cuts text, what it calls its tokens, and what its config says beside."""

    build: Callable[[int], Tokenizer]
    template: str
    roles: dict[str, str | None]
    config: dict[str, Any] = field(default_factory=dict)
    eos_ids: tuple[str, ...] = ()
    """Tokens that generation_config.json ends with."""


def write_tokenizer(family: str, folder: Path, vocab_size: int = 800) -> Path:
    """Write the tokenizer's files of a family; at least 300 ids, 600 with byte fallback."""
    shape = FAMILIES[family]
    source = _source(family, vocab_size)
    tokenizer = Tokenizer.from_str(source)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(source, encoding="utf-8")
    template = (TEMPLATES / f"{shape.template}.jinja").read_text(encoding="utf-8") if shape.template else None
    added = {
        str(number): {name: getattr(token, name) for name in _FLAGS}
        for number, token in tokenizer.get_added_tokens_decoder().items()
    }
    config = {
        "added_tokens_decoder": added,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "tokenizer_class": "PreTrainedTokenizerFast",
        **shape.roles,
        **shape.config,
    }
    if template is not None:
        config["chat_template"] = template
    _write(folder / "tokenizer_config.json", config)
    _write(folder / "special_tokens_map.json", {role: token for role, token in shape.roles.items() if token})
    ends = shape.eos_ids or (shape.roles["eos_token"],)
    generation: dict[str, Any] = {"eos_token_id": [tokenizer.token_to_id(token) for token in ends]}
    if len(ends) == 1:
        generation["eos_token_id"] = generation["eos_token_id"][0]
    if shape.roles["bos_token"]:
        generation["bos_token_id"] = tokenizer.token_to_id(shape.roles["bos_token"])
    _write(folder / "generation_config.json", generation)
    return folder


_FLAGS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


@lru_cache(maxsize=32)
def _source(family: str, vocab_size: int) -> str:
    return FAMILIES[family].build(vocab_size).to_str()


@lru_cache(maxsize=1)
def training_texts() -> list[str]:
    names = ("children.txt", "tinyshakespeare.txt", "tinystories.txt", "wikitext2-valid.txt")
    real = [(CORPORA / name).read_text(encoding="utf-8")[:60_000] for name in names if (CORPORA / name).exists()]
    return [TEXT, *real]


def _special(*tokens: str) -> list[AddedToken]:
    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def _plain(*tokens: str) -> list[AddedToken]:
    return [AddedToken(token, special=False, normalized=False) for token in tokens]


# ---- byte-level BPE -----------------------------------------------------------------------------------------------


def _byte_level(
    pre: pre_tokenizers.PreTokenizer, vocab_size: int, added: list[AddedToken], first: int = 0
) -> Tokenizer:
    """`first` of the added tokens stand before the bytes in the vocabulary, as in SmolLM2; the others behind all."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(added) + first,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=added[:first],
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_texts(), trainer)
    tokenizer.add_tokens(added[first:])
    return tokenizer


def _split(*patterns: str) -> pre_tokenizers.PreTokenizer:
    parts: list[pre_tokenizers.PreTokenizer] = [
        pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns
    ]
    return pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _gpt2(vocab_size: int) -> Tokenizer:
    tokenizer = _byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), vocab_size, _special("<|endoftext|>"))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _smollm2(vocab_size: int) -> Tokenizer:
    pre = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    added = _special("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>")
    return _byte_level(pre, vocab_size, added, first=len(added))


def _llama3(vocab_size: int) -> Tokenizer:
    reserved = (f"<|reserved_special_token_{i}|>" for i in range(3))
    added = _special(
        *("<|begin_of_text|>", "<|end_of_text|>", *reserved, "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    )
    tokenizer = _byte_level(_split(_LLAMA3), vocab_size, added)
    tokenizer.model.ignore_merges = True
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", begin)],
            ),
        ]
    )
    return tokenizer


def _qwen(*plain: str) -> Callable[[int], Tokenizer]:
    def build(vocab_size: int) -> Tokenizer:
        added = [*_special("<|endoftext|>", "<|im_start|>", "<|im_end|>"), *_plain(*plain)]
        tokenizer = _byte_level(_split(_QWEN2), vocab_size, added)
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        return tokenizer

    return build


def _deepseek3(vocab_size: int) -> Tokenizer:
    special = _special("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>")
    turns = ("<｜User｜>", "<｜Assistant｜>", "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>")
    pre = _split(_GPT2_NUMBERS, "[一-龥\u3040-ゟ゠-ヿ]+", _DEEPSEEK3)
    tokenizer = _byte_level(pre, vocab_size, [*special, *_plain(*turns)], first=3)
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


# ---- SentencePiece's BPE with byte fallback -----------------------------------------------------------------------


def _pieces(vocab_size: int, special: tuple[str, ...], behind: tuple[str, ...] = ()) -> models.BPE:
    """Ids as SentencePiece gives them: special tokens, 256 bytes, merged pieces by rank, single characters.

    As in files converted from a .model, every way to make a piece of two others is a merge.
    """
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "removed"),
            pre_tokenizers.Metaspace(prepend_scheme="never"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    room = vocab_size - len(special) - len(behind) - 256
    trainer = trainers.BpeTrainer(vocab_size=room, limit_alphabet=room // 3, show_progress=False)
    learner.train_from_iterator(training_texts(), trainer)
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    merged = [piece for piece, _ in learned if len(piece) > 1] + ["▁▁", "▁▁▁▁"]
    single = [piece for piece, _ in learned if len(piece) == 1]
    merged = merged[: room - len(single)]
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {piece: i for i, piece in enumerate([*special, *byte_pieces, *merged, *single, *behind])}
    merges = [
        (piece[:i], piece[i:])
        for piece in merged
        for i in sorted(range(1, len(piece)), reverse=True)
        if {piece[:i], piece[i:]} <= vocabulary.keys() - {*special, *behind}
    ]
    return models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)


def _begin_with(tokenizer: Tokenizer, token: str) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A",
        pair=f"{token} $A {token}:1 $B:1",
        special_tokens=[(token, tokenizer.token_to_id(token))],
    )


def _llama_decoder(*, strip: bool) -> decoders.Decoder:
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, *([decoders.Strip(" ", 1, 0)] if strip else [])])


def _llama2(vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(_pieces(vocab_size, ("<unk>", "<s>", "</s>")))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = _llama_decoder(strip=True)
    tokenizer.add_special_tokens(_special("<unk>", "<s>", "</s>"))
    _begin_with(tokenizer, "<s>")
    return tokenizer


def _mistral(vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(_pieces(vocab_size, ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = _llama_decoder(strip=True)
    tokenizer.add_special_tokens(_special("<unk>", "<s>", "</s>", "[INST]", "[/INST]"))
    _begin_with(tokenizer, "<s>")
    return tokenizer


def _gemma(vocab_size: int) -> Tokenizer:
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<unused0>", "<unused1>")
    turns = ("<start_of_turn>", "<end_of_turn>")
    spaces = ("\n\n", "\n\n\n", "▁▁▁", "<b>")
    tokenizer = Tokenizer(_pieces(vocab_size, (*special, *turns, *spaces)))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = _llama_decoder(strip=False)
    tokenizer.add_tokens([*_special(*special[:5]), *_plain(*special[5:]), *_special(*turns), *_plain(*spaces)])
    _begin_with(tokenizer, "<bos>")
    return tokenizer


def _roles(bos: str | None, eos: str, unk: str | None = None, pad: str | None = None) -> dict[str, str | None]:
    return {"bos_token": bos, "eos_token": eos, "unk_token": unk, "pad_token": pad}


_END, _S = "<|endoftext|>", ("<s>", "</s>", "<unk>")
FAMILIES: dict[str, Family] = {
    "gpt2": Family(_gpt2, "", _roles(_END, _END, _END)),
    "smollm2": Family(_smollm2, "smollm-2", _roles("<|im_start|>", "<|im_end|>", _END, "<|im_end|>")),
    "llama3": Family(
        _llama3,
        "llama-3",
        _roles("<|begin_of_text|>", "<|end_of_text|>"),
        eos_ids=("<|end_of_text|>", "<|eot_id|>"),
    ),
    "qwen2": Family(
        _qwen(), "qwen-2", _roles(None, "<|im_end|>", None, _END), {"add_bos_token": False, "errors": "replace"},
        eos_ids=("<|im_end|>", _END),
    ),
    "qwen3": Family(
        _qwen("<tool_call>", "</tool_call>", "<think>", "</think>"),
        "qwen-3", _roles(None, "<|im_end|>", None, _END), {"add_bos_token": False}, eos_ids=("<|im_end|>", _END),
    ),
    "deepseek3": Family(
        _deepseek3,
        "deepseek-3",
        _roles("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", None, "<｜▁pad▁｜>"),
        {"add_bos_token": True, "add_eos_token": False},
    ),
    "llama2": Family(_llama2, "llama-2", _roles(*_S), {"legacy": False}),
    "tinyllama": Family(_llama2, "tinyllama", _roles(*_S, "</s>"), {"legacy": False}),
    "mistral": Family(_mistral, "mistral", _roles(*_S), {"add_bos_token": True, "add_eos_token": False}),
    "gemma": Family(_gemma, "gemma-2", _roles("<bos>", "<eos>", "<unk>", "<pad>"), eos_ids=("<eos>", "<end_of_turn>")),
}  # fmt: skip
