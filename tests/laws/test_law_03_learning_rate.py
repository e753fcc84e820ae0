"""Law 3: the learning rate is a pure function of the step."""

import pytest

from groundup.optim.config import OptimConfig
from groundup.optim.schedule import lr_factor


@pytest.mark.parametrize("schedule", ["wsd", "cosine"])
def test_the_rate_rises_to_its_peak_and_falls_to_its_floor(schedule):
    config = OptimConfig(schedule=schedule, warmup_steps=10, decay_fraction=0.5, min_lr_ratio=0.1)
    rates = [lr_factor(config, step, 200) for step in range(201)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates == [lr_factor(config, step, 200) for step in range(201)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[200] == pytest.approx(0.1)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_wsd_stays_at_its_peak_until_the_decay():
    config = OptimConfig(schedule="wsd", warmup_steps=10, decay_fraction=0.5)
    assert {lr_factor(config, step, 200) for step in range(10, 101)} == {1.0}
    assert lr_factor(config, 150, 200) == pytest.approx(0.5)


def test_a_run_of_one_step_trains():
    for schedule in ("wsd", "cosine"):
        assert lr_factor(OptimConfig(schedule=schedule), 0, 1) == 1.0
