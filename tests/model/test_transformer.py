import pytest
import torch
from pydantic import ValidationError

from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.transformer import Transformer


def test_a_later_token_changes_nothing_before_it(model, tokens):
    changed = tokens.clone()
    changed[:, 25] = (changed[:, 25] + 1) % 97
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :25], after[:, :25])
    assert (before[:, 25:] - after[:, 25:]).abs().amax(dim=(0, 2)).min() > 1e-4


def test_a_block_at_initialization_is_the_identity():
    model = initialize(Transformer(ModelConfig(n_layers=3, d_model=32, n_heads=2), 50), seed=1)
    tokens = torch.arange(20)[None]
    torch.testing.assert_close(model.hidden(tokens), model.norm(model.embedding(tokens)))


def test_weights_are_a_function_of_the_seed():
    first, second, other = (initialize(Transformer(ModelConfig(), 300), seed) for seed in (1, 1, 2))
    torch.manual_seed(5)
    for a, b, c in zip(first.parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.dim() < 2 or not a.any() or not torch.equal(a, c)


def test_matrices_begin_at_the_stated_size(model):
    config = model.config
    q, o = model.blocks[0].attention.q.weight, model.blocks[0].attention.o.weight
    assert abs(q.std().item() * 32**0.5 - 1) < 0.1
    assert abs(o.std().item() * (o.shape[1] * 2 * config.n_layers) ** 0.5 - 1) < 0.1
    assert abs(model.embedding.weight.std().item() - config.init_std) < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_heads": 3}, "d_model 256 is not a multiple of n_heads 3"),
        ({"n_kv_heads": 3}, "n_heads 4 is not a multiple of n_kv_heads 3"),
        ({"head_dim": 7}, "must be even"),
        ({"n_layer": 3}, "Extra inputs"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        ModelConfig(**change)
