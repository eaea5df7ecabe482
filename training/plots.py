"""The curves of a run as one PNG, in Korean: loss, token accuracy, learning rate, gradient norm.

Drawn on a figure of its own; no global state of matplotlib is changed. The font is NanumGothic out of the package
koreanize-matplotlib, found as a file: importing that package would change every plot of the process. Colours are Okabe
and Ito's, told apart by colour-blind readers. Knows nothing of the trainer. ``draw_curves(rows, title, path)``.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_curves"]

BLUE, ORANGE, GREEN, INK, GREY = "#0072B2", "#E69F00", "#009E73", "#222222", "#8A8A8A"
WIDTH_IN, HEIGHT_IN, DPI = 10.0, 7.0, 130
#: Panel: its title, and its lines as (column, name, colour).
PANELS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "손실(nats/토큰)": (
        ("train_loss", "학습", BLUE),
        ("valid_loss", "검증", ORANGE),
        ("full_valid_loss", "검증 전체", GREEN),
    ),
    "토큰 정확도": (
        ("train_accuracy", "학습", BLUE),
        ("valid_mean_token_accuracy", "검증", ORANGE),
        ("full_valid_mean_token_accuracy", "검증 전체", GREEN),
    ),
    "학습률": (("learning_rate", "학습률", BLUE),),
    "기울기 크기": (("grad_norm", "기울기 크기", BLUE),),
}


def _font() -> Path:
    """NanumGothic's file.

    Raises:
        MissingExtraError: matplotlib or the package with the font is not installed.
    """
    fonts = importlib.util.find_spec("koreanize_matplotlib")
    if fonts is None or not fonts.submodule_search_locations or importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("report", "The plot of the training curves")
    return Path(next(iter(fonts.submodule_search_locations))) / "fonts" / "NanumGothic.ttf"


def _style(font: Path, size: float, color: str = INK) -> dict[str, Any]:
    from matplotlib.font_manager import FontProperties

    return {"fontproperties": FontProperties(fname=str(font), size=size), "color": color, "parse_math": False}


def draw_curves(rows: Mapping[int, Mapping[str, Any]], title: str, path: Path) -> Path:
    """Draw the result file's rows; written whole or not at all.

    Args:
        rows: By step, in the names of the result file.
        title: Over the picture.
        path: Of the PNG.

    Raises:
        MissingExtraError: the extra ``report`` is not installed.
        OSError: the file cannot be written.
    """
    font = _font()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(WIDTH_IN, HEIGHT_IN),
        dpi=DPI,
        facecolor="white",
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1),
    )
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", **_style(font, 13))
    for place, (name, lines) in enumerate(PANELS.items(), start=1):
        _panel(figure.add_subplot(2, 2, place), name, lines, rows, font)
    temporary = path.with_suffix(".png.tmp")
    figure.savefig(temporary, format="png", dpi=DPI)
    os.replace(temporary, path)
    return path


def _panel(
    axes: Axes,
    name: str,
    lines: tuple[tuple[str, str, str], ...],
    rows: Mapping[int, Mapping[str, Any]],
    font: Path,
) -> None:
    axes.set_title(name, loc="left", **_style(font, 11))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_xlabel("단계", **_style(font, 9, GREY))
    drawn = 0
    for column, words, color in lines:
        points = [(step, row[column]) for step, row in rows.items() if row.get(column) is not None]
        if not points:
            continue
        drawn += 1
        few = len(points) < 40
        axes.plot(*zip(*points, strict=True), color=color, linewidth=1.4, marker="o" if few else None, markersize=3)
        axes.lines[-1].set_label(f"{words} {points[-1][1]:.4g}")
    if drawn > 1:
        legend = axes.legend(frameon=False, prop=_style(font, 9)["fontproperties"])
        for text in legend.get_texts():
            text.set_color(INK)
    elif drawn == 0:
        axes.text(0.5, 0.5, "측정값 없음", ha="center", va="center", transform=axes.transAxes, **_style(font, 10, GREY))
