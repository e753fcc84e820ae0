"""The experts of a mixture, and two ways to run tokens through them: equal in value and gradient.

Shapes: N tokens, K experts of a token, M = N · K pairs of the two, E experts, D width of the model, F hidden width.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from groundup.core.device import product_dtype
from groundup.core.errors import UserError
from groundup.model.config import ModelConfig
from groundup.model.feedforward import ACTIVATIONS

# torch's grouped product: where it exists, for which types, and of which multiple (16 bytes) a row has to be.
_GROUPED_DEVICES = ("cpu", "cuda", "meta")
_GROUPED_TYPES = (torch.bfloat16, torch.float16, torch.float32)
_GROUPED_MULTIPLE = 8


class Experts(nn.Module):
    """Feed-forwards of one shape, stacked: `gate` (if gated) and `up` are [E, F, D], `down` is [E, D, F]."""

    gate: nn.Parameter | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.moe is not None
        self.width = config.moe.d_expert or config.ff_width
        experts, d_model = config.moe.n_experts, config.d_model
        gate = nn.Parameter(torch.zeros(experts, self.width, d_model)) if config.is_gated else None
        self.register_parameter("gate", gate)
        self.up = nn.Parameter(torch.zeros(experts, self.width, d_model))
        self.down = nn.Parameter(torch.zeros(experts, d_model, self.width))
        self.activation = ACTIVATIONS[config.feedforward]
        self._kernel = KERNELS[config.moe.kernel]
        if config.moe.kernel == "grouped" and not has_whole_rows(self):
            raise UserError(
                f"experts of {self.width} × {d_model} do not fit the grouped kernel, which takes multiples of 8",
                'set moe.kernel = "fastest", or other widths',
            )

    def forward(self, x_ND: Tensor, chosen_NK: Tensor, weights_NK: Tensor) -> Tensor:
        """Σ over K of weight · expert(x), [N, D]."""
        return self._kernel(self, x_ND, chosen_NK, weights_NK)


def has_whole_rows(experts: Experts) -> bool:
    """Whether rows of the matrices begin where torch's grouped product wants them to."""
    return all(size % _GROUPED_MULTIPLE == 0 for size in experts.down.shape[1:])


def plain_experts(experts: Experts, x_ND: Tensor, chosen_NK: Tensor, weights_NK: Tensor) -> Tensor:
    """One expert after the other on the tokens that chose it: the twin of the grouped kernel.

    It touches no expert that nobody chose, which makes it the faster one for a few tokens.
    """
    out_ND = torch.zeros_like(x_ND, dtype=product_dtype(x_ND))
    # Of all at once, since the gradient of one slice is as large as that of the whole.
    gates, ups, downs = (None if w is None else w.unbind() for w in (experts.gate, experts.up, experts.down))
    assert ups and downs
    for expert in chosen_NK.unique().tolist():
        token, place = (chosen_NK == expert).nonzero(as_tuple=True)
        x_nD = x_ND[token]
        hidden_nF = F.linear(x_nD, ups[expert])
        if gates:
            hidden_nF = experts.activation(F.linear(x_nD, gates[expert])) * hidden_nF
        else:
            hidden_nF = experts.activation(hidden_nF)
        made_nD = F.linear(hidden_nF, downs[expert]) * weights_NK[token, place, None]
        out_ND = out_ND.index_add(0, token, made_nD.to(out_ND.dtype))
    return out_ND


def grouped_experts(experts: Experts, x_ND: Tensor, chosen_NK: Tensor, weights_NK: Tensor) -> Tensor:
    """Tokens sorted by expert, and all experts in one product that knows where each one's tokens end."""
    dtype, top_k = product_dtype(x_ND), chosen_NK.shape[1]
    sorted_M, order_M = chosen_NK.flatten().sort(stable=True)
    back_M = order_M.argsort()
    ends_E = torch.searchsorted(sorted_M, torch.arange(len(experts.up), device=x_ND.device), right=True).int()
    x_MD = _Dispatch.apply(x_ND.to(dtype), order_M, back_M, top_k)
    hidden_MF = _grouped_product(x_MD, experts.up, ends_E)
    if experts.gate is not None:
        hidden_MF = experts.activation(_grouped_product(x_MD, experts.gate, ends_E)) * hidden_MF
    else:
        hidden_MF = experts.activation(hidden_MF)
    made_MD = _Reorder.apply(_grouped_product(hidden_MF, experts.down, ends_E), back_M, order_M)
    return (weights_NK.to(dtype)[:, None] @ made_MD.unflatten(0, (-1, top_k))).squeeze(1)


def fastest_experts(experts: Experts, x_ND: Tensor, chosen_NK: Tensor, weights_NK: Tensor) -> Tensor:
    """The grouped kernel where it can run and most experts have something to do, else one after the other."""
    can_group = x_ND.device.type in _GROUPED_DEVICES and product_dtype(x_ND) in _GROUPED_TYPES
    busy = x_ND.is_meta or chosen_NK.numel() >= len(experts.up)
    kernel = grouped_experts if can_group and busy and has_whole_rows(experts) else plain_experts
    return kernel(experts, x_ND, chosen_NK, weights_NK)


KERNELS: dict[str, Callable[[Experts, Tensor, Tensor, Tensor], Tensor]] = {
    "fastest": fastest_experts,
    "grouped": grouped_experts,
    "plain": plain_experts,
}


def _grouped_product(x_MI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    """Rows up to the first end times the first matrix, and so on; [M, O]."""
    weight_EIO = weight_EOI.to(x_MI.dtype).mT
    if x_MI.is_meta:  # where torch has it for bf16 alone; without values one expert is like another
        return x_MI @ weight_EIO[0]
    return F.grouped_mm(x_MI, weight_EIO, offs=ends_E)


class _Dispatch(torch.autograd.Function):
    """Each token once for each of its experts, in their order. Backward is a gather too, and not a scatter."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, order_M: Tensor, back_M: Tensor, top_k: int) -> Tensor:
        ctx.save_for_backward(back_M)
        ctx.top_k = top_k
        return x_ND[order_M // top_k]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (back_M,) = ctx.saved_tensors
        return gradients[0][back_M].unflatten(0, (-1, ctx.top_k)).sum(1), None, None, None


class _Reorder(torch.autograd.Function):
    """Rows in another order; `back` is the inverse of `order`."""

    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, order_M: Tensor, back_M: Tensor) -> Tensor:
        ctx.save_for_backward(back_M)
        return x_MD[order_M]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (back_M,) = ctx.saved_tensors
        return gradients[0][back_M], None, None
