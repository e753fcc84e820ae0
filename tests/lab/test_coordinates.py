"""The coordinate check finds what it is for: sizes that grow with the width, and that muP keeps them."""

import pytest

from groundup.core.progress import Reporter
from groundup.lab.coordinates import Coordinates, at_width, check_coordinates
from groundup.model.config import ModelConfig
from groundup.model.parts import MoeConfig
from groundup.optim.config import OptimConfig

CONFIG = ModelConfig(n_layers=2, d_model=32, n_heads=2)


@pytest.mark.parametrize(("optimizer", "lr"), [("adamw", 0.003), ("muon", 0.01)])
def test_updates_grow_with_the_width_and_mup_keeps_them(optimizer, lr):
    optim = OptimConfig(optimizer=optimizer, lr=lr)
    growth = {}
    for name, base in (("standard", 0), ("mup", 32)):
        config = CONFIG.model_copy(update={"mup_base_width": base})
        found = check_coordinates(config, optim, (32, 64, 128), steps=3, seed=1, reporter=Reporter())
        assert list(found.sizes) == ["embedding", "block 1", "block 2", "logits"]
        assert all(len(of_width) == 4 for sizes in found.sizes.values() for of_width in sizes)
        growth[name] = found.growth("block 2")
    assert growth["standard"] > 0.3
    assert abs(growth["mup"]) < 0.25


def test_growth_is_the_exponent_of_the_width():
    found = Coordinates((10, 100, 1000), {"x": [[0.0, 2.0], [0.0, 20.0], [0.0, 200.0]], "y": [[5.0], [5.0], [5.0]]})
    assert found.growth("x") == pytest.approx(1)
    assert found.growth("y") == pytest.approx(0)


def test_at_another_width_heads_keep_their_size_and_ratios_stay():
    wide = at_width(CONFIG.model_copy(update={"moe": MoeConfig(n_experts=4, d_expert=40)}), 128)
    assert (wide.d_model, wide.n_heads, wide.head_size, wide.ff_width) == (128, 8, 16, 4 * CONFIG.ff_width)
    assert wide.moe is not None and wide.moe.d_expert == 160
