"""Line charts as SVG for pages: text stays text, lines follow the page's light or dark color, nothing is external."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

COLORS = ("#2f7fd1", "#d9822b", "#2a9d6f", "#b45aa8", "#c94f4f", "#7d8590")
"""Middle tones that can be told apart on light and on dark paper."""

_INK = "#010203"
"""Stands for the text color of the page while the chart is drawn."""

_SMOOTH = 15
"""The running mean covers this part of a curve, at most (1 / _SMOOTH of its points on either side)."""


@dataclass(frozen=True)
class Series:
    """One curve: numbers at steps; steps without a number are left out beforehand."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]


def running_mean(values: Sequence[float], reach: int) -> list[float]:
    """Mean of each value and its neighbors up to `reach` away on either side.

    >>> running_mean([0.0, 3.0, 0.0], 1)
    [1.5, 1.0, 1.5]
    """
    return [
        sum(window) / len(window)
        for i in range(len(values))
        if (window := values[max(0, i - reach) : i + reach + 1]) is not None
    ]


@dataclass(frozen=True)
class Chart:
    """A drawing, its title, and the color of each line: (label, color)."""

    title: str
    lines: Sequence[tuple[str, str]]
    svg: str


def line_chart(title: str, series: Sequence[Series], unit_range: bool = False) -> Chart:
    """One chart, with an `<svg>` element for an HTML page; title and legend are left to the page.

    Curves of more than 30 points are shown faintly, with their running mean on top. unit_range: the values lie in
    [0, 1], and the axis says so.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 9, "axes.linewidth": 0.6}
    style |= dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK)
    colors = [COLORS[i % len(COLORS)] for i in range(len(series))]
    with rc_context(style):
        figure = Figure(figsize=(4.1, 2.35), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for color, one in zip(colors, series, strict=True):
            reach = len(one.values) // (2 * _SMOOTH) if len(one.values) > 30 else 0
            marker = "o" if len(one.values) < 3 else ""
            if reach:
                axes.plot(one.steps, one.values, color=color, linewidth=0.7, alpha=0.3)
            smooth = running_mean(list(one.values), reach)
            axes.plot(one.steps, smooth, color=color, linewidth=1.7, marker=marker)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("step")
        if unit_range:
            axes.set_ylim(-0.03, 1.03)
        else:
            axes.margins(y=0.08)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    lines = [(one.label, color) for one, color in zip(series, colors, strict=True)]
    return Chart(title, lines, _inline(buffer.getvalue(), title))


def _inline(svg: str, title: str) -> str:
    """The drawing without XML heading, metadata, namespaces, fonts and ids that nothing refers to."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([\w-]+)', svg))
    svg = re.sub(r'\sid="([\w-]+)"', lambda m: m.group() if m[1] in used else "", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r'<svg\b[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img" class="chart">', svg, count=1)
    return svg.replace(">", f"><title>{escape(title)}</title>", 1).replace(_INK, "currentColor")
