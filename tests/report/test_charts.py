"""Charts: thinned without losing a spike, and at home in a page of either color."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.report.charts import MAX_POINTS, NARROW, SMALL, WIDE, learning_curve, small_curve, thin

STEPS = [{"step": i, "tokens": 512 * i, "loss": 8 / i**0.3, "lr": 0.001} for i in range(1, 900)]
VALIDATIONS = [{"step": i, "tokens": 512 * i, "validation_loss": 8.2 / i**0.3} for i in range(100, 900, 100)]


@given(st.lists(st.one_of(st.none(), st.floats(0.01, 100)), max_size=1000))
def test_thinning_keeps_extremes_and_order_and_drops_only_what_is_unknown(values: list[float | None]):
    points = thin([{"tokens": i, "loss": value} for i, value in enumerate(values)], "loss")
    known = [value for value in values if value is not None]
    assert len(points) == min(MAX_POINTS, len(known))
    assert [point["tokens"] for point in points] == sorted({point["tokens"] for point in points})
    if known:
        assert min(point["low"] for point in points) == min(known)
        assert max(point["high"] for point in points) == max(known)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_a_curve_has_the_size_asked_for_and_no_reference_to_anywhere(size):
    svg = learning_curve(STEPS, VALIDATIONS, "loss", size)
    assert f'viewBox="0 0 {size.width} {size.height}"' in svg
    assert "http" not in svg
    assert not re.search(r'<svg[^>]* (width|height)="', svg)


def test_every_color_is_the_pages():
    svg = learning_curve(STEPS, VALIDATIONS, "loss", WIDE) + small_curve(STEPS, "lr")
    colors = set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))
    assert {"var(--train)", "var(--validation)"} <= colors
    assert all(color in ("none", "transparent") or color.startswith("var(--") for color in colors)


def test_no_id_could_clash_with_that_of_another_chart():
    assert not re.search(r'\bid="', learning_curve(STEPS, VALIDATIONS, "loss", WIDE))


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-9, 1e9])
def test_odd_values_are_drawn(value: float):
    rows = [{"step": i, "tokens": i, "loss": value} for i in (1, 2)]
    assert "<path" in learning_curve(rows, [], "loss", SMALL)
    assert "<path" in small_curve(rows, "loss")
