import pytest
import torch
from pydantic import ValidationError

from groundup.model.config import ModelConfig
from groundup.model.count import embedding_count, flops_per_token, parameter_count
from groundup.model.initialize import initialize
from groundup.model.position import Rope
from groundup.model.transformer import Transformer


def test_rotation_depends_on_distance_alone():
    rope = Rope(16, 10_000.0)
    q, k = torch.randn(2, 1, 1, 1, 16).unbind(0)

    def score(i, j):
        turned = [rope.rotate(x, rope.prepare(torch.tensor([[p]]), torch.float32)) for x, p in ((q, i), (k, j))]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(score(9, 4), score(105, 100), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(score(0, 0), (q * k).sum(), atol=1e-5, rtol=1e-5)
    assert (score(9, 4) - score(9, 5)).abs() > 1e-4


def test_rotation_is_that_of_complex_numbers():
    rope = Rope(8, 100.0)
    x = torch.randn(1, 1, 3, 8)
    turned = rope.rotate(x, rope.prepare(torch.arange(3)[None], torch.float32))
    for position in range(3):
        for pair in range(4):
            number = complex(x[0, 0, position, pair], x[0, 0, position, pair + 4])
            angle = torch.tensor(position * 100.0 ** (-2 * pair / 8))
            expected = number * complex(angle.cos(), angle.sin())
            assert abs(complex(turned[0, 0, position, pair], turned[0, 0, position, pair + 4]) - expected) < 1e-5


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


def test_parameters_are_counted_by_hand():
    config = ModelConfig(n_layers=2, d_model=32, n_heads=4, n_kv_heads=2, d_ff=64, tie_embeddings=True)
    model = Transformer(config, 100)
    attention = 32 * 32 * 2 + 32 * 16 * 2 + 8 + 8
    assert parameter_count(model) == 100 * 32 + 2 * (attention + 3 * 32 * 64 + 2 * 32) + 32
    assert embedding_count(model) == 3200
    untied = Transformer(config.model_copy(update={"tie_embeddings": False}), 100)
    assert parameter_count(untied) == parameter_count(model) + 3200


def test_operations_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    config = ModelConfig(n_layers=2, d_model=64, n_heads=4, max_seq_len=64, attention="plain")
    model = initialize(Transformer(config, 500), seed=0)
    counter = FlopCounterMode(display=False)
    with counter:
        model(torch.zeros(2, 64, dtype=torch.long)).sum().backward()
    norms = sum(p.numel() for p in model.parameters() if p.dim() < 2)
    causal_half = 6 * config.n_layers * 64 * 64  # the plain formula computes the masked half as well
    norm_products = 2 * 64 * (4 * config.n_layers + 1)  # one in the backward pass of each norm, not worth counting
    expected = flops_per_token(model, 64) - 6 * norms + causal_half + norm_products
    assert counter.get_total_flops() / 128 == pytest.approx(expected)


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
