"""Counting parameters and operations."""

from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer


def parameter_count(model: Transformer) -> int:
    """Trainable elements; tied weights count once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def embedding_count(model: Transformer) -> int:
    """Elements of the token embedding, and of the head where it has weights of its own."""
    tables = 1 if model.config.tie_embeddings else 2
    return tables * model.embedding.weight.numel()


def flops_per_token(model: Transformer, seq_len: int) -> float:
    """Floating-point operations to train on one token, forward and backward.

    6 for each weight of a matrix product, the head among them and the embedding look-up not, and for attention
    6 · layers · heads · head size · context: QKᵀ and PV, half of it masked (Chowdhery et al. 2022, appendix B,
    causal half counted once).
    """
    config: ModelConfig = model.config
    head = model.head.weight.numel()
    body = parameter_count(model) - embedding_count(model)
    return 6.0 * (body + head) + 6.0 * config.n_layers * config.n_heads * config.head_size * seq_len
