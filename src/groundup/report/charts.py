"""Curves as SVG that lives inside the page and takes its colors from the page's CSS, light or dark.

Charts are Vega-Lite specifications, drawn by vl-convert without a browser or a network.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import vl_convert

Rows = Sequence[dict[str, Any]]
Spec = dict[str, Any]
"""A part of a Vega-Lite specification."""

MAX_POINTS = 240
"""Points of a curve on the page: more cannot be told apart."""

_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16, 20)

_AXIS = {
    "labelColor": "var(--muted)",
    "titleColor": "var(--muted)",
    "gridColor": "var(--line)",
    "domainColor": "var(--line)",
    "labelFontSize": 13,
    "titleFontSize": 13,
    "titleFontWeight": "normal",
    "labelPadding": 6,
    "titlePadding": 8,
    "ticks": False,
}
_MAX_DOTS = 40  # validations; beyond, dots would hide their line
_PLAIN_ZERO = "datum.value === 0 ? '0' : datum.label"  # not '0M'


@dataclass(frozen=True)
class Size:
    """Width and height in CSS pixels at which a chart is drawn."""

    width: int
    height: int


WIDE, NARROW, SMALL = Size(860, 320), Size(380, 260), Size(420, 190)


def thin(rows: Rows, field: str) -> list[dict[str, float]]:
    """At most `MAX_POINTS` points (tokens, mean, low, high) of `field`, each of as many neighboring rows."""
    known = [(row["tokens"], row[field]) for row in rows if row.get(field) is not None]
    n_points = min(MAX_POINTS, len(known))
    points = []
    for i in range(n_points):
        part = known[i * len(known) // n_points : (i + 1) * len(known) // n_points]
        values = [value for _, value in part]
        mean = sum(values) / len(values)
        tokens = sum(tokens for tokens, _ in part) / len(part)
        points.append({"tokens": tokens, "mean": mean, "low": min(values), "high": max(values)})
    return points


def learning_curve(steps: Rows, validations: Rows, field: str, size: Size) -> str:
    """Training (mean and range) and validation curves of `field`, 'loss' or 'bits_per_byte', over tokens."""
    train, validation = thin(steps, field), thin(validations, f"validation_{field}")
    values = [point[end] for point in train + validation for end in ("low", "high")]
    y = _log_axis(values) if min(values) > 0 else _linear_axis(values, zero=False)
    layers = _train_layers(train, y)
    if validation:
        layers.append(
            _layer(validation, "mean", y, {"type": "line", "stroke": "var(--validation)", "strokeWidth": 2.5})
        )
    if 0 < len(validation) <= _MAX_DOTS:
        dot = {
            "type": "circle",
            "fill": "var(--validation)",
            "stroke": "var(--card)",
            "size": 34,
            "opacity": 1,
        }
        layers.append(_layer(validation, "mean", y, dot))
    return _svg(layers, size)


def small_curve(steps: Rows, field: str, *, zero: bool = True) -> str:
    """Mean and range of one training metric over tokens, on a linear scale that begins at zero if `zero`."""
    points = thin(steps, field)
    y = _linear_axis([point[end] for point in points for end in ("low", "high")], zero=zero)
    return _svg(_train_layers(points, y), SMALL)


def _linear_axis(values: list[float], *, zero: bool) -> Spec:
    axis = {
        "title": None,
        "format": "~s" if max(values) >= 1000 else "~g",
        "labelExpr": _PLAIN_ZERO,
        "tickCount": 4,
    }
    return {"scale": {"zero": zero, "nice": True}, "axis": axis | {"domain": False}}


def _log_axis(values: list[float]) -> Spec:
    low, high = min(values) * 0.98, max(values) * 1.02
    # A frame that ends on a tick reads better, where the next one is near.
    low = max((tick for tick in _TICKS if 0.85 * low < tick <= low), default=low)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axis = {"title": None, "format": "~r", "values": ticks or [low, high], "domain": False}
    return {"scale": {"type": "log", "domain": [low, high], "nice": False}, "axis": axis}


def _train_layers(points: Rows, y: Spec) -> list[Spec]:
    """The range as an area, the mean as a line on it."""
    area = _layer(points, "low", y, {"type": "area", "fill": "var(--train)", "fillOpacity": 0.16})
    area["encoding"]["y2"] = {"field": "high"}
    line = {"type": "line", "stroke": "var(--train)", "strokeWidth": 1.75, "strokeJoin": "round"}
    return [area, _layer(points, "mean", y, line)]


def _layer(points: Rows, field: str, y: Spec, mark: Spec) -> Spec:
    x_axis = {"title": "tokens seen", "format": "~s", "labelExpr": _PLAIN_ZERO, "tickCount": 6, "grid": False}
    x = {"field": "tokens", "type": "quantitative", "axis": x_axis, "scale": {"nice": False, "zero": True}}
    encoding = {"x": x, "y": {"field": field, "type": "quantitative", **y}}
    return {"data": {"values": list(points)}, "mark": mark, "encoding": encoding}


def _svg(layers: list[Spec], size: Size) -> str:
    chart = {
        "layer": layers,
        "width": size.width,
        "height": size.height,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "transparent",
        "padding": {"left": 0, "right": 10, "top": 8, "bottom": 0},
        "config": {"aria": False, "axis": _AXIS, "view": {"stroke": None}},
    }
    svg = vl_convert.vegalite_to_svg(chart)
    # An SVG inside HTML needs no namespaces (they read like addresses), and takes its size from the page.
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    return re.sub(r'<svg ([^>]*?) width="[^"]*" height="[^"]*"', r"<svg \1", svg, count=1)
