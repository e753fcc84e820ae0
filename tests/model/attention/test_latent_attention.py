import pytest
import torch

from groundup.generate.cache import KeyValueCache
from groundup.model.attention.latent import LatentAttention
from groundup.model.attention.mask import Sight
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.parts import LatentConfig
from groundup.model.position.choose import choose_position
from groundup.model.transformer import Transformer

SIZES = LatentConfig(kv_rank=12, nope_head_dim=6, rope_head_dim=4, v_head_dim=10)


def config(**changes):
    return ModelConfig(n_layers=2, d_model=32, n_heads=4, zero_init_output=False, init_std=0.5, latent=SIZES, **changes)


@pytest.mark.parametrize("q_rank", [0, 9])
def test_it_is_attention_of_keys_and_values_made_of_the_latent_vector(q_rank):
    made = config().model_copy(update={"latent": SIZES.model_copy(update={"q_rank": q_rank})})
    layer = initialize(Transformer(made, 50), seed=3).blocks[0].attention
    position = choose_position(made)
    x = torch.randn(2, 7, 32)
    rotation = position.prepare(torch.arange(7)[None], torch.float32)
    out = layer(x, Sight(rotation, None), None)
    assert out.shape == x.shape

    q = (layer.q_up(layer.q_norm(layer.q_down(x))) if q_rank else layer.q(x)).view(2, 7, 4, 10)
    latent, shared = layer.kv_down(x).split((12, 4), -1)
    kv = layer.kv_up(layer.kv_norm(latent)).view(2, 7, 4, 16)
    heads = []
    for head in range(4):
        turned = position.rotate(q[:, None, :, head, 6:], rotation)[:, 0]
        key = position.rotate(shared[:, None], rotation)[:, 0]
        logits = (q[:, :, head, :6] @ kv[:, :, head, :6].mT + turned @ key.mT) / 10**0.5
        hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
        heads.append(logits.masked_fill(hidden, float("-inf")).softmax(-1) @ kv[:, :, head, 6:])
    torch.testing.assert_close(out, layer.o(torch.cat(heads, -1)), atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_looking_at_latent_vectors_is_looking_at_the_keys_made_of_them():
    model = initialize(Transformer(config(max_seq_len=32), 50), seed=3)
    tokens = torch.randint(50, (2, 20))
    cache = KeyValueCache(model.config, 2, 32, torch.device("cpu"), torch.float32)
    parts = [model(tokens[:, i:j], cache=cache) for i, j in ((0, 8), (8, 9), (9, 15), (15, 20))]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens), atol=2e-5, rtol=0)


def test_the_cache_holds_the_latent_vector_and_one_rotary_key():
    assert config().cached_sizes == ((1, 12), (1, 4))


def test_it_refuses_what_does_not_go_with_it():
    for change, message in (
        ({"n_kv_heads": 2}, "leave n_kv_heads out"),
        ({"position": "alibi"}, "rope or none, not alibi"),
        ({"attention_bias": True}, "leave attention_bias out"),
    ):
        with pytest.raises(ValueError, match=message):
            config(**change)


def test_values_may_have_their_own_size_and_heads_their_own():
    layer = LatentAttention(config(), choose_position(config()))
    assert layer.o.weight.shape == (32, 40)
    assert layer.kv_up.weight.shape == (4 * 16, 12)
