"""The report's plots as PNG, in Korean: funnel, reasons, lengths before and after, speech levels, question templates.

Drawn on figures of their own; no global state of matplotlib is changed, so any thread may draw. The font is
NanumGothic out of the package koreanize-matplotlib, found as a file: importing that package would change every plot of
the process. Colours are Okabe and Ito's, told apart by colour-blind readers, and every bar carries its number.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import MissingExtraError
from generators.curation.report import labels
from generators.curation.report.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PLOTS", "draw_plots", "write_plots"]

BLUE, ORANGE, GREY, INK = "#0072B2", "#E69F00", "#8A8A8A", "#222222"
WIDTH_IN, DPI = 9.0, 150
SHOWN_REASONS = 15
SHOWN_TEMPLATES = 15
#: A label longer than this would push the bars out of the picture.
LABEL_CHARS = 34


class _Canvas:
    """One figure and the font that all its texts are set in."""

    def __init__(self, font: Path, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ft2font import FT2Font
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        self.font = font
        self.figure: Figure = Figure(
            figsize=(WIDTH_IN, height),
            dpi=DPI,
            facecolor="white",
            layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12),
        )
        FigureCanvasAgg(self.figure)
        self._known = FT2Font(str(font)).get_charmap()

    def style(self, size: float = 10.0, color: str = INK) -> dict[str, Any]:
        """Properties of a text; ``$`` and ``_`` are letters, not formulas."""
        from matplotlib.font_manager import FontProperties

        return {"fontproperties": FontProperties(fname=str(self.font), size=size), "color": color, "parse_math": False}

    def shown(self, text: str, longest: int = LABEL_CHARS) -> str:
        """``text`` in one line, cut with an ellipsis; a character that the font lacks is a box, as in print."""
        text = " ".join(text.split())
        text = text if len(text) <= longest else f"{text[: longest - 1]}…"
        return "".join(c if ord(c) in self._known else "□" for c in text)

    def axes(self, title: str, *, at: tuple[int, int, int] = (1, 1, 1)) -> Axes:
        """Axes without a frame, the title on the left."""
        axes = self.figure.add_subplot(*at)
        axes.set_title(title, loc="left", pad=10, **self.style(13))
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0)
        return axes

    def png(self) -> bytes:
        """The picture."""
        out = io.BytesIO()
        self.figure.savefig(out, format="png", dpi=DPI)
        return out.getvalue()

    def bars(self, axes: Axes, names: Sequence[str], values: Sequence[int], notes: Sequence[str], color: str) -> None:
        """Horizontal bars from the top down, each with its name on the left and its note behind it."""
        places = range(len(names))
        axes.barh(list(places), list(values), color=color, height=0.68)
        # Two bars are no thicker than three.
        axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
        axes.set_xlim(0, max([*values, 1]) * 1.22)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_yticks(list(places))
        axes.set_yticklabels([self.shown(name) for name in names], **self.style(10))
        for place, value, note in zip(places, values, notes, strict=True):
            axes.annotate(
                note,
                (value, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                annotation_clip=False,
                **self.style(9.5),
            )


def _height(rows: int) -> float:
    return 1.1 + 0.36 * max(rows, 3)


def _counted(count: int, total: int) -> str:
    return f"{count:,} ({labels.percent(count / total if total else 0.0)})"


def _empty(canvas: _Canvas, axes: Axes, text: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(False)
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, **canvas.style(11, GREY))


def _funnel(report: dict[str, Any], font: Path) -> bytes:
    candidates = report["counts"]["candidates"]
    stages = [row for row in report["funnel"] if row["stage"] != "accepted"]
    names = ["후보", *(f"{labels.label(labels.STAGES, row['stage'])} 뒤" for row in stages)]
    values = [candidates, *(row["left"] for row in stages)]
    notes = [f"{candidates:,}"]
    notes += [
        _counted(row["left"], candidates) + (f", 탈락 {row['dropped']:,}" if row["dropped"] else "") for row in stages
    ]
    canvas = _Canvas(font, _height(len(names)))
    axes = canvas.axes(f"후보 {candidates:,}건 가운데 {report['counts']['accepted']:,}건 채택: 단계마다 남은 수")
    canvas.bars(axes, names, values, notes, BLUE)
    # Room for what was dropped, written behind the share.
    axes.set_xlim(0, max([*values, 1]) * 1.36)
    return canvas.png()


def _reasons(report: dict[str, Any], font: Path) -> bytes:
    found, rejected = report["reasons"], report["counts"]["rejected"]
    shown = found[:SHOWN_REASONS]
    canvas = _Canvas(font, _height(len(shown)))
    more = f" (많은 순서로 {len(shown)}가지, 모두 {len(found)}가지)" if len(found) > len(shown) else ""
    axes = canvas.axes(f"탈락 {rejected:,}건의 까닭{more}")
    if not shown:
        _empty(canvas, axes, "탈락한 후보가 없습니다")
        return canvas.png()
    names = [f"{labels.label(labels.STAGES, row['stage'])} · {row['reason']}" for row in shown]
    counts = [row["count"] for row in shown]
    canvas.bars(axes, names, counts, [_counted(count, rejected) for count in counts], ORANGE)
    return canvas.png()


def _lengths(report: dict[str, Any], font: Path) -> bytes:
    canvas = _Canvas(font, 7.4)
    for place, name in enumerate(("question_chars", "answer_chars"), start=1):
        sides = report["distributions"][name]
        axes = canvas.axes(labels.DISTRIBUTIONS[name], at=(2, 1, place))
        _overlaid(canvas, axes, sides["before"], sides["after"])
    return canvas.png()


def _overlaid(canvas: _Canvas, axes: Axes, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Two histograms over the same bins, in per cent of their own rows; bins are drawn equally wide."""
    rows = list(zip(before["bins"], after["bins"], strict=True))
    used = [number for number, (first, second) in enumerate(rows) if first["count"] or second["count"]]
    if not used:
        _empty(canvas, axes, "읽을 수 있는 후보가 없습니다")
        return
    rows = rows[used[0] : used[-1] + 1]
    places = list(range(len(rows)))
    first = [100 * row["count"] / max(before["n"], 1) for row, _ in rows]
    second = [100 * row["count"] / max(after["n"], 1) for _, row in rows]
    axes.bar(places, first, width=0.94, color="#CFCFCF", label=f"정제 전 {before['n']:,}건")
    axes.bar(places, second, width=0.5, color=BLUE, label=f"정제 뒤 {after['n']:,}건")
    axes.set_ylim(0, max(first + second) * 1.35)
    axes.set_xticks(places)
    names = [labels.bin_label(row) for row, _ in rows]
    crowded = len(names) > 9
    axes.set_xticklabels(names, rotation=30 if crowded else 0, ha="right" if crowded else "center", **canvas.style(9))
    axes.set_yticks([])
    for place, old, new in zip(places, first, second, strict=True):
        if max(old, new) >= 0.05:
            both = f"전 {old:.1f}%\n뒤 {new:.1f}%"
            axes.annotate(
                both,
                (place, max(old, new)),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                **canvas.style(7.5),
            )
    legend = axes.legend(loc="upper right", frameon=False, prop=canvas.style(10)["fontproperties"])
    for text, side in zip(legend.get_texts(), (before, after), strict=True):
        text.set_text(f"{text.get_text()} · 중앙값 {side['p50'] if side['p50'] is not None else '–'}")


def _levels(report: dict[str, Any], font: Path) -> bytes:
    levels = report["speech_levels"]
    keys = [key for key in labels.LEVELS if levels["question"].get(key) or levels["answer"].get(key)]
    canvas = _Canvas(font, _height(len(keys)) + 0.5)
    measured = "" if levels["measured"] == levels["of"] else f" ({levels['of']:,}건 가운데 고르게 뽑은 표본)"
    canvas.figure.suptitle(f"채택한 {levels['measured']:,}건의 말투{measured}", x=0.01, ha="left", **canvas.style(13))
    for place, (part, name, color) in enumerate((("question", "질문", ORANGE), ("answer", "답변", BLUE)), start=1):
        axes = canvas.axes(name, at=(1, 2, place))
        if not keys:
            _empty(canvas, axes, "채택한 후보가 없습니다")
            continue
        counts = [levels[part].get(key, 0) for key in keys]
        notes = [_counted(count, levels["measured"]) for count in counts]
        canvas.bars(axes, [labels.LEVELS[key] for key in keys], counts, notes, color)
        axes.set_xlim(0, max([*counts, 1]) * 1.6)
    return canvas.png()


def _templates(report: dict[str, Any], font: Path) -> bytes:
    openings = report["openings"]
    shown = openings["top"][:SHOWN_TEMPLATES]
    canvas = _Canvas(font, _height(len(shown)))
    axes = canvas.axes(f"채택한 질문 {openings['questions']:,}개의 틀: 많은 순서로 {len(shown)}가지")
    if not shown:
        _empty(canvas, axes, "채택한 질문이 없습니다")
        return canvas.png()
    counts = [row["count"] for row in shown]
    notes = [_counted(count, openings["questions"]) for count in counts]
    canvas.bars(axes, [row["template"] for row in shown], counts, notes, BLUE)
    return canvas.png()


PLOTS: dict[str, Callable[[dict[str, Any], Path], bytes]] = {
    "funnel.png": _funnel,
    "reasons.png": _reasons,
    "lengths.png": _lengths,
    "speech_levels.png": _levels,
    "templates.png": _templates,
}


def _font() -> Path:
    """NanumGothic's file.

    Raises:
        MissingExtraError: matplotlib or the package with the font is not installed.
    """
    fonts = importlib.util.find_spec("koreanize_matplotlib")
    if fonts is None or not fonts.submodule_search_locations or importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("report", "The report's plots")
    return Path(next(iter(fonts.submodule_search_locations))) / "fonts" / "NanumGothic.ttf"


def draw_plots(report_json: dict[str, Any]) -> dict[str, bytes]:
    """Every plot as the bytes of a PNG, by file name.

    Raises:
        MissingExtraError: the extra ``report`` is not installed.
    """
    font = _font()
    return {name: draw(report_json, font) for name, draw in PLOTS.items()}


def write_plots(report_json: dict[str, Any], folder: Path) -> list[Path]:
    """Write every plot into ``folder``, which is made where it is missing; each file whole or not at all.

    Raises:
        MissingExtraError: the extra ``report`` is not installed; nothing was written.
        OSError: the folder cannot be written.
    """
    drawn = draw_plots(report_json)
    folder.mkdir(parents=True, exist_ok=True)
    return [write_whole(folder / name, content) for name, content in drawn.items()]
