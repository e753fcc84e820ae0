import pytest
import torch

from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.transformer import Transformer


@pytest.fixture(params=["plain heads", "grouped heads, untied", "no qk norm"])
def model(request):
    """A small model of each kind whose blocks all matter (nothing starts at zero)."""
    kinds = {
        "plain heads": {},
        "grouped heads, untied": {"n_kv_heads": 2, "tie_embeddings": False},
        "no qk norm": {"qk_norm": False, "head_dim": 10},
    }
    config = ModelConfig(
        n_layers=2, d_model=32, n_heads=4, max_seq_len=64, zero_init_output=False, init_std=0.5, **kinds[request.param]
    )
    return initialize(Transformer(config, 97), seed=0)


@pytest.fixture
def tokens():
    return torch.randint(0, 97, (3, 40), generator=torch.Generator().manual_seed(0))
