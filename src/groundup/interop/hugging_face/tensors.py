"""Tensors of ours and of theirs that hold the same numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_Change = Callable[[Sequence[Tensor]], Sequence[Tensor]]


@dataclass(frozen=True)
class Operation:
    """How tensors of theirs become ours, and back. Both run on tensors without storage too, to learn shapes."""

    to_ours: _Change
    to_theirs: _Change


@dataclass(frozen=True)
class Pair:
    """Names of tensors that hold the same numbers, in the order in which the operation takes and gives them."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    operation: Operation
    in_fp32: bool = False
    """Stored in fp32 whatever the rest is."""


SAME = Operation(lambda theirs: theirs, lambda ours: ours)

PLUS_ONE = Operation(lambda theirs: [t + 1 for t in theirs], lambda ours: [t - 1 for t in ours])
"""Gemma stores the weight of a norm as its difference from one."""

TRANSPOSED = Operation(lambda theirs: [t.mT for t in theirs], lambda ours: [t.mT for t in ours])
"""GPT-2's matrices are [inputs, outputs]."""

STACKED = Operation(lambda theirs: [torch.stack(tuple(theirs))], lambda ours: ours[0].unbind())
"""One tensor for each expert, or one for all."""


def joined(parts: int, *, transposed: bool = False) -> Operation:
    """Tensors of one size, theirs end to end in one: GPT-2's queries, keys and values."""

    def to_ours(theirs: Sequence[Tensor]) -> Sequence[Tensor]:
        return (theirs[0].mT if transposed else theirs[0]).chunk(parts)

    def to_theirs(ours: Sequence[Tensor]) -> Sequence[Tensor]:
        whole = torch.cat(tuple(ours))
        return [whole.mT if transposed else whole]

    return Operation(to_ours, to_theirs)


FUSED = Operation(lambda theirs: theirs[0].chunk(2, dim=1), lambda ours: [torch.cat(tuple(ours), dim=1)])
"""Gate and up of all experts in one tensor, as transformers 5 keeps them in memory."""


def zeros(size: int) -> Operation:
    """Theirs is a vector that must be zero: something that ours does without."""
    return Operation(lambda theirs: [], lambda ours: [torch.zeros(size)])


def same(ours: str, theirs: str) -> Pair:
    """One tensor under two names."""
    return Pair((ours,), (theirs,), SAME)


def linear(ours: str, theirs: str, *, bias: bool) -> list[Pair]:
    """The weight of a linear layer, and its bias if it has one."""
    parts = ("weight", "bias") if bias else ("weight",)
    return [same(f"{ours}.{part}", f"{theirs}.{part}") for part in parts]
