"""Frequencies against `transformers`, and against the formulas of the papers."""

import math

import pytest
import torch

from groundup.model.parts import RopeScaling
from groundup.model.position.rope import Rope
from groundup.model.position.rope_scaling import scaled_frequencies, temperature

SIZE, THETA = 64, 500_000.0
PLAIN = THETA ** -(torch.arange(0, SIZE, 2, dtype=torch.float64) / SIZE)


def theirs(**parameters):
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_theta": THETA, **parameters}
    config = LlamaConfig(
        hidden_size=SIZE, num_attention_heads=1, head_dim=SIZE, max_position_embeddings=131072, rope_parameters=rope
    )
    return ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, "cpu")


@pytest.mark.parametrize(
    ("ours", "hugging_face"),
    [
        (RopeScaling(method="linear", factor=4.0), {"rope_type": "linear", "factor": 4.0}),
        (
            RopeScaling(method="llama-3", factor=8.0, original_max_seq_len=8192),
            {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
        ),
        (
            RopeScaling(method="yarn", factor=32.0, original_max_seq_len=4096),
            {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096},
        ),
        (
            RopeScaling(method="yarn", factor=4.0, original_max_seq_len=4096, truncate=False, temperature=1.5),
            {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 4096,
                "truncate": False,
                "attention_factor": 1.5,
            },
        ),
    ],
    ids=["linear", "llama-3", "yarn", "yarn, exact borders"],
)
def test_frequencies_are_those_of_transformers(ours, hugging_face):
    frequencies, factor = theirs(**hugging_face)
    torch.testing.assert_close(scaled_frequencies(SIZE, THETA, ours).float(), frequencies, atol=0, rtol=1e-5)
    assert temperature(ours) == pytest.approx(factor)
    assert not torch.allclose(PLAIN.float(), frequencies, rtol=1e-3)


def test_ntk_leaves_the_highest_frequency_and_divides_the_lowest():
    scaled = scaled_frequencies(SIZE, THETA, RopeScaling(method="ntk", factor=4.0))
    ratio = scaled / PLAIN
    assert ratio[0] == 1
    assert ratio[-1].item() == pytest.approx(1 / 4)
    assert (ratio.diff() < 0).all()


def test_a_temperature_scales_queries_and_keys():
    rope = Rope(8, 100.0, scaling=RopeScaling(method="yarn", factor=8.0, original_max_seq_len=32))
    x = torch.randn(1, 1, 1, 8)
    turned = rope.rotate(x, rope.prepare(torch.tensor([[0]]), torch.float32))
    torch.testing.assert_close(turned, x * (0.1 * math.log(8) + 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "llama-3", "low_freq_factor": 4.0}, "low_freq_factor 4.0 is not below"),
        ({"method": "yarn", "beta_slow": 40.0}, "beta_slow 40.0 is not below"),
        ({"method": "dynamic"}, "linear"),
        ({"method": "linear", "factor": 0.5}, "greater than or equal to 1"),
    ],
)
def test_a_scaling_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RopeScaling(**{"factor": 2.0} | change)
