"""Tokenizers as the metadata of a GGUF file, and back.

What llama.cpp reads is written as llama.cpp reads it. A further key keeps what it has no place for (how exactly text
is normalized, flags of added tokens), so that a tokenizer comes back as it was; files without it are read by
llama.cpp's own rules.
"""

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.tokenizer.base import BaseTokenizer
from groundup.tokenizer.foreign import CONFIG, SOURCE, ForeignTokenizer
from groundup.tokenizer.llama_cpp import rule_named, rule_of
from groundup.tokenizer.sentencepiece import SPACE, adds_space, byte_piece, merges_of, scores_of, spelling
from groundup.tokenizer.template import without_markers
from groundup.tokenizer.tokenizer import Tokenizer

_MODEL, _PRE, _ADD_BOS = "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.add_bos_token"
_TOKENS, _TYPES, _MERGES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"
_SCORES, _ADD_SPACE = "tokenizer.ggml.scores", "tokenizer.ggml.add_space_prefix"
_TEMPLATE = "tokenizer.chat_template"
_IDS = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}
_OTHER_ENDS = ("tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
"""End of a turn, end of a message that calls a tool: llama.cpp stops at both."""
_REST = "groundup.tokenizer"
"""JSON: the tokenizer.json without its vocabulary (`spec`), and the chat template of ours with its markers."""


class TokenType(IntEnum):
    """What GGUF says of each token."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


def metadata_of(tokenizer: BaseTokenizer) -> dict[str, Any]:
    """Name and value of everything that GGUF says of a tokenizer; ids that have no token become unused ones.

    Raises UserError for a tokenizer that llama.cpp cannot run. It leaves out Unicode normalization (Qwen), and
    begins every SentencePiece text with a space, where "Metaspace" (Mistral) leaves one alone that is there.
    """
    spec = tokenizer.spec
    is_pieces = spec["model"]["type"] == "BPE" and bool(spec["model"].get("byte_fallback"))
    vocabulary = _pieces(spec) if is_pieces else _byte_level(spec)
    by_id = {number: token for token, number in tokenizer.token_ids.items()}
    added = {token["id"]: token for token in spec["added_tokens"]}
    types = [
        _type_of(by_id.get(i), added.get(i), tokenizer.unk_id == i, is_pieces) for i in range(tokenizer.vocab_size)
    ]
    tokens = [_spelled(by_id.get(i, f"[PAD{i}]"), types[i], is_pieces) for i in range(tokenizer.vocab_size)]
    if is_pieces:
        scores = scores_of(spec)
        vocabulary[_SCORES] = [scores.get(by_id.get(i, ""), 0.0) for i in range(tokenizer.vocab_size)]
    ids = {key: tokenizer.role_id(role) for role, key in _IDS.items()}
    if ids[_IDS["bos_token"]] is None and tokenizer.prompt_prefix:
        ids[_IDS["bos_token"]] = tokenizer.prompt_prefix[0]  # llama.cpp takes token 11 where it is not told
    return {
        _MODEL: "llama" if is_pieces else "gpt2",
        _TOKENS: tokens,
        _TYPES: [int(kind) for kind in types],
        **vocabulary,
        **{key: number for key, number in ids.items() if number is not None},
        **dict(zip(_OTHER_ENDS, sorted(tokenizer.end_ids - {tokenizer.eos_id}), strict=False)),
        _ADD_BOS: tokenizer.bos_id is not None and tokenizer.prompt_prefix == (tokenizer.bos_id,),
        **({_TEMPLATE: without_markers(tokenizer.chat_template)} if tokenizer.chat_template else {}),
        _REST: json.dumps(_rest(tokenizer), ensure_ascii=False),
    }


def tokenizer_from_metadata(metadata: Mapping[str, Any]) -> BaseTokenizer:
    """The tokenizer that GGUF metadata (name to value, lists as lists) describes.

    Raises UserError naming the kind of vocabulary or the rule of cutting that is not supported, or what is missing.
    """
    for key in (_MODEL, _TOKENS):
        if key not in metadata:
            raise UserError(f"the GGUF file says no {key}", "convert it anew, with its tokenizer")
    kind = metadata[_MODEL]
    if kind not in ("gpt2", "llama"):
        raise UserError(f"the GGUF file has a vocabulary of kind '{kind}'", "supported: gpt2 and llama")
    rest = json.loads(metadata.get(_REST, "{}"))
    spec = _spec_with(metadata, rest["spec"]) if "spec" in rest else _spec_without(metadata)
    roles = {role: metadata[_TOKENS][metadata[key]] for role, key in _IDS.items() if key in metadata}
    if "chat_template" in rest:
        eos_token = roles["eos_token"]
        return Tokenizer(_to_json(spec), rest["chat_template"], Reporter(quiet=True), eos_token=eos_token)
    config = {role: roles.get(role) for role in _IDS} | {"tokenizer_class": "PreTrainedTokenizerFast"}
    if _TEMPLATE in metadata:
        config["chat_template"] = metadata[_TEMPLATE]
    ends = [metadata[key] for key in (_IDS["eos_token"], *_OTHER_ENDS) if key in metadata]
    files = {
        SOURCE: _to_json(spec),
        CONFIG: _to_json(config),
        "generation_config.json": _to_json({"eos_token_id": ends}),
    }
    return ForeignTokenizer({name: text.encode() for name, text in files.items()})


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _byte_level(spec: Mapping[str, Any]) -> dict[str, Any]:
    rule = rule_of(dict(spec))
    plain = (None, {"type": "Sequence", "normalizers": []}, rule.normalizer)
    if spec["model"]["type"] != "BPE" or spec["normalizer"] not in plain:
        raise UserError(
            "llama.cpp has no vocabulary like this tokenizer's",
            "export to Hugging Face's format instead, which keeps any tokenizer",
        )
    merges = spec["model"]["merges"]
    return {
        _PRE: rule.names[0],
        _MERGES: [merge if isinstance(merge, str) else " ".join(merge) for merge in merges],
    }


def _pieces(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {_PRE: "default", _ADD_SPACE: adds_space(spec)}


def _type_of(token: str | None, added: Mapping[str, Any] | None, is_unknown: bool, is_pieces: bool) -> TokenType:
    if token is None:
        return TokenType.UNUSED
    if is_pieces and is_unknown:
        return TokenType.UNKNOWN
    if added:
        return TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    return TokenType.BYTE if is_pieces and token in _BYTE_PIECES else TokenType.NORMAL


_BYTE_PIECES = frozenset(map(byte_piece, range(256)))


def _spelled(token: str, kind: TokenType, is_pieces: bool) -> str:
    """llama.cpp looks for tokens of users in the text itself, where spaces are spaces."""
    return token.replace(SPACE, " ") if is_pieces and kind == TokenType.USER_DEFINED else token


def _rest(tokenizer: BaseTokenizer) -> dict[str, Any]:
    model = {key: value for key, value in tokenizer.spec["model"].items() if key not in ("vocab", "merges")}
    beside = [token["id"] for token in tokenizer.spec["added_tokens"] if token["content"] not in _vocab(tokenizer)]
    spec = dict(tokenizer.spec) | {"model": model, "beside_vocabulary": beside}
    ours = {"chat_template": tokenizer.chat_template} if isinstance(tokenizer, Tokenizer) else {}
    return {"spec": spec} | ours


def _vocab(tokenizer: BaseTokenizer) -> Mapping[str, int]:
    return tokenizer.spec["model"]["vocab"]


def _spec_with(metadata: Mapping[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer.json as it was: what was kept of it, and the vocabulary."""
    added = {token["id"]: token["content"] for token in kept["added_tokens"]}
    beside = set(kept.pop("beside_vocabulary"))
    vocabulary = {added.get(i, token): i for i, token in _used(metadata) if i not in beside}
    merges = _merges(metadata, vocabulary, in_order=False)
    return kept | {"model": kept["model"] | {"vocab": vocabulary, "merges": merges}}


def _spec_without(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer.json that llama.cpp's rules amount to."""
    is_pieces = metadata[_MODEL] == "llama"
    types = metadata.get(_TYPES) or [TokenType.NORMAL] * len(metadata[_TOKENS])
    kept = (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED)
    spelled = {
        i: token.replace(" ", SPACE) if is_pieces and types[i] == TokenType.USER_DEFINED else token
        for i, token in _used(metadata)
    }
    vocabulary = {token: i for i, token in spelled.items()}
    added = [_added(i, token, types[i] != TokenType.USER_DEFINED) for i, token in spelled.items() if types[i] in kept]
    unknown = metadata.get(_IDS["unk_token"]) if is_pieces else None
    # Gemma's files give tokens of users scores that are none; its pieces stand in their order.
    in_order = str(metadata.get("general.architecture", "")).startswith("gemma") or _SCORES not in metadata
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None if unknown is None else metadata[_TOKENS][unknown],
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": is_pieces,
        "byte_fallback": is_pieces,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": _merges(metadata, vocabulary, in_order=in_order),
    }
    if is_pieces:
        parts, adds_bos = spelling(add_space=metadata.get(_ADD_SPACE, True)), True
    else:
        rule = rule_named(metadata.get(_PRE, "default"))
        model["ignore_merges"], adds_bos = rule.ignore_merges, rule.adds_bos
        decoder = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        parts = {"normalizer": rule.normalizer, "pre_tokenizer": rule.pre_tokenizer, "decoder": decoder}
    bos = metadata.get(_IDS["bos_token"]) if metadata.get(_ADD_BOS, adds_bos) else None
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        **parts,
        "post_processor": None if bos is None else _begin_with(bos, metadata[_TOKENS][bos]),
        "model": model,
    }


def _used(metadata: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Ids and tokens, without those that only fill a row of the embedding."""
    tokens = metadata[_TOKENS]
    types = metadata.get(_TYPES) or [TokenType.NORMAL] * len(tokens)
    return [(i, token) for i, token in enumerate(tokens) if types[i] != TokenType.UNUSED or token != f"[PAD{i}]"]


def _merges(metadata: Mapping[str, Any], vocabulary: Mapping[str, int], *, in_order: bool) -> list[list[str]]:
    """`in_order`: pieces are the better the earlier they stand, whatever their scores say."""
    if metadata[_MODEL] == "gpt2":
        return [merge.split(" ", 1) for merge in metadata.get(_MERGES, ())]
    types = metadata.get(_TYPES) or [TokenType.NORMAL] * len(metadata[_TOKENS])
    made = (TokenType.NORMAL, TokenType.USER_DEFINED)
    scores = {
        piece: float(-i) if in_order else metadata[_SCORES][i] for piece, i in vocabulary.items() if types[i] in made
    }
    known = [piece for piece, i in vocabulary.items() if types[i] in made]
    return [list(merge) for merge in merges_of(scores, known)]


def _added(number: int, token: str, special: bool) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": token, **flags, "special": special}


def _begin_with(number: int, token: str) -> dict[str, Any]:
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }
