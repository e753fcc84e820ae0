"""Curves as SVG that lives inside the page and takes its colors from the page's CSS, light or dark."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import vl_convert

Rows = Sequence[dict[str, Any]]

MAX_POINTS = 240
"""Points of a curve on the page: more cannot be told apart."""

_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16, 20)


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
    y = _axis_of(values, "log" if min(values) > 0 else "linear")
    layers = [_range(train, y), _line(train, y, "var(--train)")]
    if validation:
        layers.append(_line(validation, y, "var(--validation)", 2.5))
        if len(validation) <= 40:
            layers.append(_dots(validation, y, "var(--validation)"))
    return _svg(alt.layer(*layers), size)


def small_curve(steps: Rows, field: str, *, zero: bool = True, kind: Literal["linear", "log"] = "linear") -> str:
    """Mean and range of one training metric over tokens."""
    points = thin(steps, field)
    y = _axis_of([point[end] for point in points for end in ("low", "high")], kind, zero=zero)
    return _svg(alt.layer(_range(points, y), _line(points, y, "var(--train)")), SMALL)


def _axis_of(values: list[float], kind: Literal["linear", "log"], *, zero: bool = False) -> dict[str, Any]:
    low, high = min(values), max(values)
    if kind == "linear":
        scale = alt.Scale(zero=zero, nice=True)
        return {"scale": scale, "axis": alt.Axis(title=None, format="~s" if high >= 1000 else "~g", tickCount=4)}
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    scale = alt.Scale(type="log", domain=[low * 0.98, high * 1.02], nice=False)
    return {"scale": scale, "axis": alt.Axis(title=None, values=ticks or [low, high], format="~r")}


def _x() -> alt.X:
    axis = alt.Axis(title="tokens seen", format="~s", tickCount=6, grid=False)
    return alt.X("tokens:Q", axis=axis, scale=alt.Scale(nice=False, zero=True))


def _line(points: Rows, y: dict[str, Any], color: str, width: float = 1.75) -> alt.Chart:
    mark = alt.Chart(alt.Data(values=list(points))).mark_line(stroke=color, strokeWidth=width, strokeJoin="round")
    return mark.encode(x=_x(), y=alt.Y("mean:Q", **y))


def _dots(points: Rows, y: dict[str, Any], color: str) -> alt.Chart:
    mark = alt.Chart(alt.Data(values=list(points)))
    mark = mark.mark_circle(color=color, size=34, opacity=1, stroke="var(--card)", strokeWidth=1.5)
    return mark.encode(x=_x(), y=alt.Y("mean:Q", **y))


def _range(points: Rows, y: dict[str, Any]) -> alt.Chart:
    mark = alt.Chart(alt.Data(values=list(points))).mark_area(fill="var(--train)", fillOpacity=0.16)
    return mark.encode(x=_x(), y=alt.Y("low:Q", **y), y2="high:Q")


def _svg(chart: alt.LayerChart, size: Size) -> str:
    chart = chart.properties(
        width=size.width, height=size.height, autosize=alt.AutoSizeParams(type="fit", contains="padding")
    )
    chart = chart.configure(
        background="transparent",
        padding={"left": 0, "right": 10, "top": 8, "bottom": 0},
        aria=False,
        axis=alt.AxisConfig(
            labelColor="var(--muted)", titleColor="var(--muted)", gridColor="var(--line)", domainColor="var(--line)",
            tickColor="var(--line)", labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelPadding=6,
            titlePadding=8, ticks=False,
        ),
        axisY=alt.AxisConfig(domain=False),
        view=alt.ViewConfig(stroke=None),
    )  # fmt: skip
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    # An SVG inside HTML needs no namespaces (they read like addresses), and takes its size from the page.
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    return re.sub(r'<svg ([^>]*?) width="[^"]*" height="[^"]*"', r"<svg \1", svg, count=1)
