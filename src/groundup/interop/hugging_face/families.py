"""All families, and which of them a model belongs to."""

import difflib
from typing import Any

from groundup.core.errors import UserError
from groundup.interop.essence import essence, told
from groundup.interop.hugging_face.deepseek import DeepseekV2, DeepseekV3
from groundup.interop.hugging_face.experts import Mixtral, Qwen3Moe
from groundup.interop.hugging_face.family import Family
from groundup.interop.hugging_face.gemma import Gemma2, Gemma3
from groundup.interop.hugging_face.gpt2 import GPT2
from groundup.interop.hugging_face.llama import Llama, Mistral, Qwen2, Qwen3
from groundup.model.config import ModelConfig

# In the order in which they are tried for a model that is to be written.
_ALL = (Llama, Mistral, Qwen2, Qwen3, GPT2, Gemma2, Gemma3, Mixtral, Qwen3Moe, DeepseekV2, DeepseekV3)

_NEAREST = 3  # families that a refusal tells of

FAMILIES: dict[str, Family] = {family.model_type: family() for family in _ALL}
"""By `model_type`."""


def family_of(config: dict[str, Any], where: str) -> Family:
    """The family that a config.json names. Raises UserError naming the nearest one if it is not known."""
    name = config.get("model_type")
    known = f"supported are {', '.join(FAMILIES)}"
    if not isinstance(name, str) or not name:
        raise UserError(f"{where} has no model_type", known)
    if name not in FAMILIES:
        near = difflib.get_close_matches(name.lower(), FAMILIES, 1, 0.0)[0]
        raise UserError(f"{where}: model_type {name!r} is not supported; the nearest is {near!r}", known)
    return FAMILIES[name]


def family_for(config: ModelConfig) -> Family:
    """The first family that gives the same logits as a model of ours.

    Raises UserError naming what no family has, or else what each of the nearest lacks.
    """
    obstacles = {name: family.obstacles(config) for name, family in FAMILIES.items()}
    if exact := [name for name, found in obstacles.items() if not found]:
        return FAMILIES[exact[0]]
    near = {name: obstacles[name] for name, family in FAMILIES.items() if family.has_structure_of(config)} or obstacles
    everywhere = set.intersection(*map(set, near.values()))
    nearest = sorted(near, key=lambda name: len(near[name]))[:_NEAREST]
    facts = essence(config)
    lacks = "; ".join(f"{name} lacks {told(facts, near[name])}" for name in nearest)
    what = f"has {told(facts, sorted(everywhere))}" if everywhere else "has all parts of this model together"
    raise UserError(f"no family of Hugging Face {what}", f"what stands in the way: {lacks}")
