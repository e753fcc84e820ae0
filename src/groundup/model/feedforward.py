"""Feed-forward sublayers: modules from x_BTD to the same shape, acting on each token alone.

Shapes: B batch, T tokens, D width of the model, F hidden width.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)), without biases (Shazeer 2020, "GLU Variants Improve Transformer")."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_ff, bias=False)
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    @property
    def output(self) -> nn.Linear:
        """The matrix that writes to the residual stream."""
        return self.down

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Each token through the gated network."""
        return self.down(F.silu(self.gate(x_BTD)) * self.up(x_BTD))


FEEDFORWARDS = {"swiglu": SwiGLU}
