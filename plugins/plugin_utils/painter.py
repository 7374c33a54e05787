# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws with matplotlib, so that the same figures give the same bytes."""

from __future__ import annotations

import importlib
import io
import logging
import typing as t
import warnings

if t.TYPE_CHECKING:
    from collections.abc import Callable

#: The colour-blind can tell them apart, and each can be read on white.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#b04a00", "#007a59", "#66778a"
STYLE: t.Final = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "scout-recovery",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#dde3ea",
}


def of_matplotlib(name: str) -> t.Any:
    """A part of matplotlib. Raises ImportError where there is none that works."""
    # What it says of its caches is nothing for the screen.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    return importlib.import_module(f"matplotlib.{name}")


def draw(paint: Callable[[t.Any], None], width: float, height: float) -> str:
    """The SVG of a figure of so many inches that `paint` fills. Raises ImportError without matplotlib."""
    figure_of = of_matplotlib("figure").Figure
    matplotlib = importlib.import_module("matplotlib")
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = figure_of(figsize=(width, height), layout="constrained")
        paint(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
