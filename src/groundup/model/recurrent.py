"""A recurrent language model: the baseline that a Transformer is compared with by changing one line.

Shapes: B batch, T new tokens, D width of the model.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel
from groundup.model.norm import make_norm
from groundup.model.segments import Scan, State, choose_scan

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Memory(Protocol):
    """What a recurrent model needs of earlier tokens: the state that they left in each layer."""

    length: int
    """Tokens read so far."""

    def before(self, documents_BT: Tensor | None) -> Sequence[State]:
        """States to read these tokens from: zero in rows that begin another document with them."""
        ...

    def store(self, states: Sequence[State], documents_BT: Tensor | None, tokens: int) -> None:
        """Take the states behind so many new tokens of these documents, all at once."""
        ...


class RecurrentBlock(nn.Module):
    """x + cell(norm(x)): Elman 1990 (with tanh), Hochreiter and Schmidhuber 1997, or Cho et al. 2014.

    The cell computes in fp32 under autocast too. Forward and backward of 8 × 256 tokens of width 192 on two cores
    take 26 ms in fp32 and 23 in bf16 (lstm), 31 and 43 (rnn), 91 and 75 to 117 (gru): products of so few rows gain
    nothing, and what is added to a state hundreds of times must not be rounded to 8 bits.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = make_norm(config, config.d_model)
        self.cell = CELLS[config.kind](config.d_model, config.d_model, batch_first=True)
        self._scale = config.residual_scale

    def forward(self, x_BTD: Tensor, scan: Scan, state: State | None) -> tuple[Tensor, State | None]:
        """One block: its output, and the state behind the last token of each row where the scan knows it."""
        normed_BTD = self.norm(x_BTD).to(self.cell.weight_hh_l0.dtype)
        with torch.autocast(x_BTD.device.type, enabled=False):
            out_BTD, state = scan(self.cell, normed_BTD, state)
        return torch.add(x_BTD, out_BTD.to(x_BTD.dtype), alpha=self._scale), state


class Recurrent(LanguageModel):
    """Token embedding, recurrent blocks, norm, head. Order is all that it knows of positions."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.blocks = nn.ModuleList(RecurrentBlock(config) for _ in range(config.n_layers))
        self.norm = make_norm(config, config.d_model)

    @property
    def outputs(self) -> Iterable[Tensor]:
        """None: a cell writes its state to the residual stream, and no matrix."""
        return ()

    def hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """What the head sees, [B, T, D]. `cache`: a `Memory`; positions are not looked at."""
        memory: Memory | None = cache
        scan = choose_scan(documents_BT, wants_state=memory is not None)
        before = memory.before(documents_BT) if memory else [None] * len(self.blocks)
        behind: list[Any] = []
        x_BTD = self.embed(tokens_BT)
        for block, state in zip(self.blocks, before, strict=True):
            x_BTD, state = block(x_BTD, scan, state)
            behind.append(state)
        if memory:
            memory.store(behind, documents_BT, tokens_BT.shape[1])
        return self.norm(x_BTD)
