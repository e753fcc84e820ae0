"""A tokenizer's folder, as Hugging Face's libraries read it."""

import json
from pathlib import Path
from typing import Any

from groundup.core.errors import UserError
from groundup.core.files import read_json, write_json, write_text
from groundup.tokenizer.config import PAD

CHATML = (Path(__file__).parent / "chatml.jinja").read_text(encoding="utf-8").rstrip("\n")
"""The chat template of new tokenizers."""

_SOURCE, _TEMPLATE, _CONFIG = "tokenizer.json", "chat_template.jinja", "tokenizer_config.json"


def write_folder(folder: Path, source: str, chat_template: str, eos_token: str) -> None:
    """Write tokenizer.json and the files around it that name special tokens and the chat template, if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    added = json.loads(source)["added_tokens"]
    specials = [token["content"] for token in added if token["special"]]
    roles: dict[str, Any] = {
        "eos_token": eos_token,
        "pad_token": PAD,
        "additional_special_tokens": [token for token in specials if token not in (eos_token, PAD)],
    }
    config = roles | {
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in added
        },
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    write_text(folder / _SOURCE, source)
    if chat_template:
        config["chat_template"] = chat_template
        write_text(folder / _TEMPLATE, chat_template)
    write_json(folder / "special_tokens_map.json", roles)
    write_json(folder / _CONFIG, config)


def read_folder(folder: Path) -> tuple[str, str, str]:
    """tokenizer.json, chat template and eos_token of a folder. Raises UserError if one is missing or damaged."""
    read_json(folder / _SOURCE)
    eos_token = read_json(folder / _CONFIG)["eos_token"]
    template = folder / _TEMPLATE
    if not template.exists():
        raise UserError(f"{template} does not exist", "is this a tokenizer folder that groundup made?")
    return (folder / _SOURCE).read_text(encoding="utf-8"), template.read_text(encoding="utf-8"), eos_token
