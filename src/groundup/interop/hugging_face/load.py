"""A model from a folder of Hugging Face."""

import json
import re
from math import prod
from pathlib import Path
from typing import Any

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.interop.hugging_face.families import family_of
from groundup.interop.hugging_face.matching import (
    HEAD,
    check_tensors,
    check_tie,
    exported,
    pairs_of,
    shapes_of,
    shapes_of_theirs,
)
from groundup.interop.hugging_face.weights import StoredWeights
from groundup.interop.loaded import Loaded
from groundup.model.store import weights
from groundup.model.unfilled import unfilled_model
from groundup.tokenizer.open import open_tokenizer

CONFIG = "config.json"


def load_hugging_face(folder: Path, reporter: Reporter) -> Loaded:
    """Read model and tokenizer: config.json, safetensors (whole or in parts), tokenizer.json and what belongs to it.

    Weights become fp32, tensor by tensor, so that memory holds the model and little more. Raises UserError for a
    model_type or a key that cannot be expressed exactly, damaged files, pickles, and tensors that are missing, left
    over or of another shape (all of them listed).
    """
    config = read_config(folder)
    where = str(folder / CONFIG)
    family = family_of(config, where)
    model_config, vocab_size = family.read(config, where)
    stored = StoredWeights(folder)
    pairs = pairs_of(family, model_config, stored.tensors)
    shapes = shapes_of_theirs(pairs, shapes_of(model_config, vocab_size))
    is_tied = model_config.tie_embeddings
    may_be_there = [*family.ignored(config), *([re.escape(HEAD)] if is_tied else [])]
    check_tensors(stored, shapes, "|".join(may_be_there), str(folder))
    if is_tied:
        check_tie(stored, pairs[0].theirs[0], str(folder))
    tokenizer = open_tokenizer(folder, reporter)
    if tokenizer.vocab_size > vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, and the model embeddings for {vocab_size}",
            "this tokenizer belongs to another model; copy both again",
        )
    model = unfilled_model(model_config, vocab_size)
    with reporter.task(f"reading {folder.name}", sum(map(prod, shapes.values())), "weights") as task:
        own = exported(weights(model))
        for pair in pairs:
            theirs = [stored.read(name).float() for name in pair.theirs]
            for name, tensor in zip(pair.ours, pair.operation.to_ours(theirs), strict=True):
                own.pop(name).copy_(tensor)
            task.advance(sum(tensor.numel() for tensor in theirs))
    assert not own, own.keys()
    return Loaded(model, tokenizer, family.model_type, stored.main_type, str(folder))


def read_config(folder: Path) -> dict[str, Any]:
    """config.json. Raises UserError if it is missing or holds no JSON object."""
    path = folder / CONFIG
    if not path.is_file():
        hint = "give the folder of a model: config.json, safetensors and tokenizer.json"
        if (folder / "adapter_config.json").exists():
            raise UserError(f"{folder} holds an adapter, which is no model by itself", "merge it into its model first")
        raise UserError(f"{path} does not exist", hint)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", "copy it again") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no JSON object", "copy it again")
    return config
