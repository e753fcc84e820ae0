import pytest
from pydantic import ValidationError

from groundup.core.decisions import Decisions
from groundup.core.errors import UserError
from groundup.train.budget import Probe, count_steps, rows_of_batch, rows_of_micro_batch
from groundup.train.config import TrainConfig


class NeverProbe(Probe):
    def __init__(self):
        pass

    def steps_in(self, seconds):
        pytest.fail("a budget that is not in minutes needs no probe")


class FixedProbe(NeverProbe):
    def steps_in(self, seconds):
        return int(seconds * 2)


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 7}, 7), ({"tokens": 10_000}, 9), ({"epochs": 2.5}, 50), ({"tokens": 1}, 1)]
)
def test_a_budget_becomes_a_number_of_steps(budget, steps, tmp_path):
    assert count_steps(TrainConfig(**budget), 1024, 20.0, Decisions(tmp_path), NeverProbe()) == steps


def test_minutes_become_steps_once(tmp_path):
    config = TrainConfig(minutes=2.0)
    assert count_steps(config, 1024, 20.0, Decisions(tmp_path), FixedProbe()) == 240
    assert count_steps(config, 1024, 20.0, Decisions(tmp_path), NeverProbe()) == 240


@pytest.mark.parametrize("budget", [{}, {"steps": 1, "minutes": 1.0}])
def test_exactly_one_budget_is_given(budget):
    with pytest.raises(ValidationError, match="exactly one of minutes, steps, tokens, epochs"):
        TrainConfig(**budget)


def test_a_global_batch_is_a_whole_number_of_rows():
    assert rows_of_batch(TrainConfig(steps=1, global_batch_tokens=1024), 256) == 4
    with pytest.raises(UserError, match="not a multiple") as error:
        rows_of_batch(TrainConfig(steps=1, global_batch_tokens=1000), 256)
    assert error.value.hint == "set global_batch_tokens = 1024"


def test_micro_batches_keep_the_logits_small():
    config = TrainConfig(steps=1)
    assert rows_of_micro_batch(config, 32, 256, 4096) == 32
    assert rows_of_micro_batch(config, 512, 1024, 50_000) == 1
    assert rows_of_micro_batch(config.model_copy(update={"micro_batch_size": 3}), 32, 256, 4096) == 3
