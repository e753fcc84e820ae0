import pytest
from pydantic import ValidationError

from groundup.generate.config import SamplingConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"seed": -1},
        {"max_new_tokens": 0},
        {"stop": ("a", "")},
        {"topk": 3},
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        SamplingConfig(**wrong)
