"""One look for all figures: Okabe-Ito colours, one per method, legible in print.

matplotlib is imported late, so that the processes that compute cells never load it.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette. Its yellow is left out: too faint for a line on white.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#7F7F7F"

# Inches. One column and the full width of a printed page.
COLUMN, PAGE = 3.4, 7.0

# What a method looks like in every figure: colour, marker and dash; never told by colour alone.
METHODS: dict[str, tuple[str, str, str]] = {
    "target": (BLACK, "", "-"),
    "data": (GREY, ".", ""),
    "splitting": (BLUE, "o", "-"),
    "random split": (ORANGE, "s", "--"),
    "random split, gradient": (SKY, "D", "--"),
    "new initialisation": (GREEN, "^", "-."),
    "gradient boosting": (PURPLE, "v", ":"),
    "from scratch": (VERMILION, "X", "-."),
}

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.0,
    "legend.fontsize": 7.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "figure.figsize": (COLUMN, 2.5),
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": False,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    # The same data must give the same bytes on every machine.
    "svg.hashsalt": "refgrow",
    "svg.fonttype": "path",
    "savefig.dpi": 200,
}


def look(method: str) -> dict[str, str]:
    """Colour, marker, line and label of a method, for ``axes.plot(x, y, **look("splitting"))``.

    Raises
    ------
    ValueError
        A method without a look; the message names the nearest.
    """
    if method not in METHODS:
        nearest = difflib.get_close_matches(method, METHODS, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"no look for {method!r}. Did you mean {nearest!r}? Looks stand in figures/style.py."
        )
    colour, marker, line = METHODS[method]
    return {"color": colour, "marker": marker, "linestyle": line, "label": method}


def colour(method: str) -> str:
    """The colour of a method, the same in every figure."""
    return look(method)["color"]


def panels(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] | None = None, **options: Any
) -> tuple[Figure, Any]:
    """A figure (size in inches) and its axes, as ``pyplot.subplots`` without its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size or (COLUMN if columns == 1 else PAGE, 2.5 * rows))
    return figure, figure.subplots(rows, columns, **options)


def legend(figure: Figure, axes: Any, columns: int = 3) -> None:
    """One legend above all panels, from the labels of `axes`, where it covers nothing."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns)


@contextmanager
def applied() -> Iterator[None]:
    """The style, whatever the user's own matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def rendered(figure: Figure, kind: str, **options: Any) -> bytes:
    """The figure as "svg" or "png": the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else {}, **options)
    return buffer.getvalue()
