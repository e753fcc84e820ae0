import numpy as np
import pytest
import torch

from groundup.core.device import Compute
from groundup.data.batches import Batches, PackedRows
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.transformer import Transformer
from groundup.objective.next_token import NextToken

VOCABULARY = 64


@pytest.fixture
def fp32():
    return Compute(torch.device("cpu"), "fp32")


@pytest.fixture
def objective():
    return NextToken(np.ones(VOCABULARY, dtype=np.int64))


@pytest.fixture
def make_model():
    """A small model, always the same, whose blocks all matter."""

    def make(**changes):
        config = ModelConfig(
            n_layers=2, d_model=32, n_heads=4, n_kv_heads=2, max_seq_len=32, zero_init_output=False, init_std=0.5
        )
        return initialize(Transformer(config.model_copy(update=changes), VOCABULARY), seed=3)

    return make


@pytest.fixture
def conversations():
    """Sequences of unlike lengths, of which unlike parts are to be learned: where means of means go wrong."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(2, 30, size=40)
    tokens = generator.integers(0, VOCABULARY, size=lengths.sum())
    trained = generator.random(lengths.sum()) < generator.random(lengths.sum())
    return tokens, trained, lengths


@pytest.fixture
def batches(conversations):
    return Batches([(PackedRows(*conversations, seq_len=32, pad_id=0), 1.0)], rows_per_batch=8, seed=1)
