"""Feed-forward sublayers: modules from x_BTD to the same shape, acting on each token alone.

Shapes: B batch, T tokens, D width of the model, F hidden width.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from groundup.model.parts import GATED

_gelu_tanh = partial(F.gelu, approximate="tanh")

# What each unit does to its hidden layer, or, in gated ones, to its gate. relu2: So et al. 2021 ("Primer").
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu-tanh": _gelu_tanh,
    "swish": F.silu,
    "relu2": lambda x: F.relu(x).square(),
    "glu": F.sigmoid,
    "reglu": F.relu,
    "geglu": F.gelu,
    "geglu-tanh": _gelu_tanh,
    "swiglu": F.silu,
    "bilinear": lambda x: x,
}


class FeedForward(nn.Module):
    """down(activation(up(x))), or gated: down(activation(gate(x)) * up(x)) (Shazeer 2020, equations 5 and 6)."""

    def __init__(self, d_model: int, d_ff: int, name: str, *, bias: bool = False) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_ff, bias=bias) if name in GATED else None
        self.up = nn.Linear(d_model, d_ff, bias=bias)
        self.down = nn.Linear(d_ff, d_model, bias=bias)
        self._activation = ACTIVATIONS[name]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The matrix that writes to the residual stream."""
        return (self.down.weight,)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Each token through the network."""
        if self.gate is None:
            return self.down(self._activation(self.up(x_BTD)))
        return self.down(self._activation(self.gate(x_BTD)) * self.up(x_BTD))
