"""Each way to normalize, held to the sum that its docstring states."""

import pytest
import torch

from groundup.model.attention.mask import Sight, Visibility
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.transformer import Transformer

X = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))


def make(residual, **changes):
    config = ModelConfig(
        n_layers=2, d_model=32, n_heads=4, zero_init_output=False, residual=residual, init_std=0.5, **changes
    )
    model = initialize(Transformer(config, 50), seed=1)
    for name, parameter in model.named_parameters():
        if "norm" in name:  # or every norm would be as good as the next
            torch.nn.init.uniform_(parameter, 0.5, 2.0)
    sight = Sight(model.position.prepare(torch.arange(7)[None], torch.float32), None)
    return model, model.blocks[0], sight


@pytest.mark.parametrize("norm", ["rmsnorm", "layernorm"])
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("residual", ["pre", "post", "sandwich", "parallel"])
def test_a_block_is_the_sum_that_it_states(residual, scale, norm):
    _, block, sight = make(residual, residual_scale=scale, norm=norm)
    f, g = (lambda x: block.attention(x, sight, None)), block.feedforward
    n1, n2 = block.attention_norm, getattr(block, "feedforward_norm", None)
    if residual == "pre":
        y = X + scale * f(n1(X))
        expected = y + scale * g(n2(y))
    elif residual == "post":
        y = n1(X + scale * f(X))
        expected = n2(y + scale * g(y))
    elif residual == "sandwich":
        y = X + scale * block.attention_output_norm(f(n1(X)))
        expected = y + scale * block.feedforward_output_norm(g(n2(y)))
    else:
        assert n2 is None
        expected = X + scale * (f(n1(X)) + g(n1(X)))
    out = block(X, sight, None)
    assert out.shape == X.shape
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_a_model_of_post_norm_has_no_norm_at_its_end():
    model, _, _ = make("post")
    assert isinstance(model.norm, torch.nn.Identity)
    assert "norm.weight" not in dict(model.named_parameters())


def test_embeddings_and_logits_are_scaled_and_squeezed():
    changes = {"n_layers": 1, "d_model": 32, "n_heads": 4, "zero_init_output": True, "init_std": 1.0}
    plain = initialize(Transformer(ModelConfig(**changes), 50), 0)
    scaled = Transformer(ModelConfig(**changes, embedding_scale=8.0, logit_scale=0.5, logit_softcap=3.0), 50)
    scaled.load_state_dict(plain.state_dict())
    tokens = torch.arange(20)[None]
    torch.testing.assert_close(scaled.embed(tokens), 8 * plain.embed(tokens))
    # Blocks begin as the identity, and the norm takes the factor of the embeddings out again.
    torch.testing.assert_close(scaled(tokens), 3 * (plain(tokens) * 0.5 / 3).tanh(), atol=1e-4, rtol=1e-4)


def test_layers_with_a_window_have_their_own_mask_and_rotation():
    config = ModelConfig(
        n_layers=3, d_model=32, n_heads=4, window=3, window_pattern="LLG", rope_theta=1e4, rope_local_theta=100.0
    )
    model = initialize(Transformer(config.model_copy(update={"zero_init_output": False}), 50), 0)
    assert model.local_position is not None
    seen = {}
    for index, block in enumerate(model.blocks):
        block.register_forward_pre_hook(lambda _m, inputs, i=index: seen.__setitem__(i, inputs[1]))
    model(torch.arange(10)[None])
    assert seen[0] is seen[1]
    assert seen[2].mask is None
    expected = Visibility(10, None, None, torch.device("cpu")).mask(3, model.position.bias, torch.float32)
    assert torch.equal(seen[0].mask, expected)
    assert not torch.equal(seen[0].rotation[0], seen[2].rotation[0])


def test_what_is_out_of_the_windows_of_all_layers_has_no_influence():
    config = ModelConfig(n_layers=2, d_model=32, n_heads=4, window=4, zero_init_output=False, init_std=0.5)
    model = initialize(Transformer(config, 50), 0)
    tokens = torch.randint(50, (1, 20))
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 50
    differs = (model(tokens) - model(changed)).abs().amax(-1)[0] > 1e-4
    # Two layers of four tokens reach six tokens back.
    assert differs.nonzero().flatten().tolist() == list(range(5, 12))
