"""Which tokens of somebody else's vocabulary begin, end and fill texts: told in up to four files."""

from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""Roles of tokens, as Hugging Face names them."""


def read_roles(
    named: Mapping[str, Any], model_files: Sequence[Mapping[str, Any]], library: tokenizers.Tokenizer
) -> tuple[dict[str, str], list[int]]:
    """The token of each role that has one, and the ids with which the model ends.

    What the tokenizer's files (`named`) leave out is taken from the first of `model_files` (generation_config.json,
    config.json) that names it by its id; a role that they set to null has no token.
    """
    roles = {role: _content(named[role]) for role in ROLES if named.get(role) is not None}
    for role in ("bos_token", "eos_token", "pad_token"):
        if role not in named:
            ids = _first_ids(model_files, f"{role}_id")
            if ids and (token := library.id_to_token(ids[0])) is not None:
                roles[role] = token
    return roles, _first_ids(model_files, "eos_token_id")


def special_tokens_to_add(
    config: Mapping[str, Any], roles: Mapping[str, str], library: tokenizers.Tokenizer
) -> list[tokenizers.AddedToken]:
    """Tokens that the config knows and tokenizer.json does not: they get the next ids, as in `transformers`."""
    known = {token.content for token in library.get_added_tokens_decoder().values()}
    described = config.get("added_tokens_decoder") or {}
    wanted = [_added(token) for _, token in sorted(described.items(), key=lambda item: int(item[0]))]
    extra = [*(config.get("additional_special_tokens") or ()), *_values(config.get("extra_special_tokens") or ())]
    named = (*(roles[role] for role in ROLES if role in roles), *map(_content, extra))
    wanted += [tokenizers.AddedToken(token, special=True, normalized=False) for token in named]
    return [token for token in wanted if token.content not in known]


def _first_ids(model_files: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    for file in model_files:
        if (found := file.get(key)) is not None:
            return found if isinstance(found, list) else [found]
    return []


def _content(token: Any) -> str:
    return token["content"] if isinstance(token, dict) else token


def _values(tokens: Any) -> list[Any]:
    return list(tokens.values()) if isinstance(tokens, dict) else list(tokens)


def _added(token: Mapping[str, Any]) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(**{key: value for key, value in token.items() if key != "__type"})
