"""How weights begin."""

import math

import torch
from torch import nn

from groundup.model.attention import Attention
from groundup.model.feedforward import SwiGLU
from groundup.model.transformer import Transformer


@torch.no_grad()
def initialize(model: Transformer, seed: int) -> Transformer:
    """Fill the weights, as a function of the seed and the shapes alone. Returns the model.

    Embeddings and head: normal, standard deviation `init_std`. Matrices: normal, 1/sqrt(inputs), which keeps the
    size of activations; the ones that write to the residual stream: zero, or 1/sqrt(2 · layers) of that
    (Radford et al. 2019). Norms: one.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            parameter.fill_(1.0)
        elif name.startswith(("embedding.", "head.")):
            _fill_normal(parameter, config.init_std, generator)
        else:
            _fill_normal(parameter, 1 / math.sqrt(parameter.shape[1]), generator)
    scale = 0.0 if config.zero_init_output else 1 / math.sqrt(2 * config.n_layers)
    for module in model.modules():
        if isinstance(module, Attention | SwiGLU):
            module.output.weight.mul_(scale)
    return model


def _fill_normal(parameter: nn.Parameter, std: float, generator: torch.Generator) -> None:
    # Drawn on the CPU so that every device begins from the same weights.
    parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
