"""A decoder-only Transformer that reads top to bottom. It knows nothing of devices, precision or training.

Shapes: B batch, T new tokens, S tokens to attend to, D width of the model, V vocabulary.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from groundup.core.device import product_dtype
from groundup.model.attention import Attention, LayerCache, Mask
from groundup.model.config import ModelConfig
from groundup.model.feedforward import FEEDFORWARDS
from groundup.model.norm import NORMS
from groundup.model.position import Position, Rope


class Cache(Protocol):
    """What a model needs of a cache of earlier tokens."""

    layers: Sequence[LayerCache]
    length: int
    """Tokens stored so far, the same in every layer."""

    def extend(self, documents_BT: Tensor) -> Tensor:
        """Store the document numbers of the new tokens; return those of all tokens, [B, S]."""
        ...


class Block(nn.Module):
    """x + attention(norm(x)), then x + feedforward(norm(x))."""

    def __init__(self, config: ModelConfig, position: Position) -> None:
        super().__init__()
        norm = NORMS[config.norm]
        self.attention_norm = norm(config.d_model, config.norm_eps)
        self.attention = Attention(config, position)
        self.feedforward_norm = norm(config.d_model, config.norm_eps)
        self.feedforward = FEEDFORWARDS[config.feedforward](config.d_model, config.ff_width)

    def forward(self, x_BTD: Tensor, prepared: tuple[Tensor, Tensor], mask: Mask, cache: LayerCache | None) -> Tensor:
        """One block."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), prepared, mask, cache)
        return x_BTD + self.feedforward(self.feedforward_norm(x_BTD))


class Transformer(nn.Module):
    """Token embedding, blocks, norm, head."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config, self.vocab_size = config, vocab_size
        self.position = Rope(config.head_size, config.rope_theta)
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Block(config, self.position) for _ in range(config.n_layers))
        self.norm = NORMS[config.norm](config.d_model, config.norm_eps)
        self.head = nn.Linear(config.d_model, vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    def forward(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Logits of the next token, [B, T, V].

        Positions count from the number of cached tokens unless given. Tokens see earlier tokens of their own
        document only; without document numbers a row is one document.
        """
        return self.head(self.hidden(tokens_BT, positions_BT, documents_BT, cache))

    def hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """What the head sees, [B, T, D]."""
        past = cache.length if cache else 0
        if positions_BT is None:
            positions_BT = torch.arange(past, past + tokens_BT.shape[1], device=tokens_BT.device)[None]
        mask = attention_mask(tokens_BT.shape[1], documents_BT, cache, tokens_BT.device)
        x_BTD = self.embedding(tokens_BT)
        x_BTD = x_BTD.to(product_dtype(x_BTD))  # the residual stream in bf16 too: half the memory to walk through
        prepared = self.position.prepare(positions_BT, x_BTD.dtype)
        for index, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, prepared, mask, cache.layers[index] if cache else None)
        return self.norm(x_BTD)


def attention_mask(tokens: int, documents_BT: Tensor | None, cache: Cache | None, device: torch.device) -> Mask:
    """Causal order within each document, as bool [B, 1, T, S]; None where the kernel's own causal order says it all."""
    past = cache.length if cache else 0
    if documents_BT is None and (past == 0 or tokens == 1):
        return None
    order = torch.arange(past + tokens, device=device)
    causal_TS = order[past:, None] >= order[None, :]
    if documents_BT is None:
        return causal_TS[None, None]
    seen_BS = cache.extend(documents_BT) if cache else documents_BT
    return (causal_TS & (documents_BT[:, :, None] == seen_BS[:, None, :]))[:, None]
