import math

import pytest
import torch

from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.mup import learning_rate_factors

SHAPE = {"n_layers": 3, "d_model": 128, "n_heads": 4, "position": "learned", "tie_embeddings": False}
BIASES = {"attention_bias": True, "attention_output_bias": True, "feedforward_bias": True, "attention_sinks": True}


def stds(**changes):
    model = initialize(build_model(ModelConfig(**SHAPE | changes), 300), seed=0)
    return {name: p.std().item() for name, p in model.named_parameters() if p.dim() >= 2}


@pytest.mark.parametrize(("init", "std", "output"), [("normal", 0.02, 0.02), ("gpt-2", 0.02, 0.02 / math.sqrt(6))])
def test_normal_and_gpt_2_are_of_one_size_but_for_outputs(init, std, output):
    for name, found in stds(init=init, zero_init_output=False).items():
        writes = name.endswith((".o.weight", ".down.weight"))
        assert found == pytest.approx(output if writes else std, rel=0.05), name


def test_fan_in_keeps_the_size_of_activations():
    found = stds(zero_init_output=False)
    assert found["embedding.weight"] == pytest.approx(0.02, rel=0.05)
    assert found["position.weight"] == pytest.approx(0.02, rel=0.05)
    assert found["blocks.0.attention.q.weight"] == pytest.approx(128**-0.5, rel=0.05)
    assert found["blocks.0.feedforward.down.weight"] == pytest.approx((384 * 6) ** -0.5, rel=0.05)


def test_vectors_begin_where_they_do_nothing():
    model = initialize(build_model(ModelConfig(**SHAPE | BIASES, norm="layernorm"), 300), seed=0)
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            expected = 1.0 if name.endswith("norm.weight") else 0.0
            assert (parameter == expected).all(), name


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_recurrent_weights_keep_the_size_of_activations_too(kind):
    model = initialize(build_model(ModelConfig(kind=kind, d_model=128, n_layers=2), 300), seed=0)
    assert model.blocks[0].cell.weight_hh_l0.std().item() == pytest.approx(128**-0.5, rel=0.05)


@pytest.mark.parametrize("init", ["fan-in", "gpt-2"])
def test_mup_shrinks_what_grows_with_the_width(init):
    changes = {"init": init, "zero_init_output": False, "mup_base_width": 64}
    narrow, wide = (ModelConfig(**SHAPE | changes | {"d_model": width}) for width in (64, 256))
    weights = [initialize(build_model(c, 300), 0).blocks[0].attention.q.weight.std().item() for c in (narrow, wide)]
    assert weights[1] / weights[0] == pytest.approx(0.5, rel=0.05)
    assert wide.output_scale == 0.25 * narrow.output_scale
    # Four heads at any width: a head is four times as large, and its logits shrink with its size, not with the root.
    assert wide.score_scale == pytest.approx(narrow.score_scale / 4)
    fixed = [c.model_copy(update={"head_dim": 32}).score_scale for c in (narrow, wide)]
    assert fixed[0] == fixed[1]


def test_mup_learns_wide_matrices_slower_and_tables_as_before():
    config = ModelConfig(**SHAPE | {"d_model": 256, "mup_base_width": 64})
    model = build_model(config, 300)
    adam, muon = (learning_rate_factors(model, orthogonalized=flag) for flag in (False, True))
    assert set(adam) == {name for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("blocks.")}
    assert set(adam.values()) == {0.25}
    assert set(muon.values()) == {0.5}
    assert learning_rate_factors(build_model(ModelConfig(**SHAPE), 300), orthogonalized=False) == {}


def test_standard_parametrization_is_untouched_by_the_code_of_mup():
    assert ModelConfig(**SHAPE).output_scale == 1
    assert torch.tensor(ModelConfig(**SHAPE).score_scale).item() == pytest.approx(32**-0.5)
