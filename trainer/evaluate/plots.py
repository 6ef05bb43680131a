"""Success and precision plots, VOT's EAO curve, the fractions of Figure 6, and per-sequence tables, as files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.atomic import appearing
from trainer.evaluate.fractions import Fractions
from trainer.evaluate.measures import CENTRE_THRESHOLDS, NORMALISED_THRESHOLDS, overlap_thresholds
from trainer.evaluate.scores import Curve, Scores
from trainer.evaluate.vot_scores import VotScores

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(folder: Path, results: Sequence[Scores], suffix: str = "svg") -> list[Path]:
    """Write plots of all trackers on one dataset, and a table of each tracker's videos.

    Args:
        folder: Where success.SUFFIX, precision.SUFFIX, normalised-precision.SUFFIX and <tracker>.csv go.
        results: The trackers' scores on one dataset.
        suffix: svg, png, pdf: what matplotlib can write.

    Returns:
        The files.
    """
    protocol = results[0].protocol
    title = f"{protocol.benchmark}, {len(results[0].names)} videos"
    success = [(s.tracker, s.mean(s.success), s.values["success_score"]) for s in results]
    precision = [(s.tracker, s.mean(s.precision), s.values["precision_score"]) for s in results]
    normalised = [(s.tracker, s.mean(s.normalised), s.values["normalised_precision_score"]) for s in results]
    plots = {
        "success": _plot(
            overlap_thresholds(protocol.thresholds), success, title, "overlap threshold", "success rate"
        ),
        "precision": _plot(CENTRE_THRESHOLDS, precision, title, "centre error threshold, px", "precision"),
        "normalised-precision": _plot(
            NORMALISED_THRESHOLDS,
            normalised,
            title,
            "centre error threshold, target sizes",
            "normalised precision",
        ),
    }
    written = []
    for name, figure in plots.items():
        path = folder / f"{name}.{suffix}"
        save(figure, path)
        written.append(path)
    return [*written, *(_write_rows(folder, scores) for scores in results)]


def write_vot_report(folder: Path, results: Sequence[VotScores], suffix: str = "svg") -> list[Path]:
    """Write the expected average overlap by length (eao.SUFFIX), and a table of each tracker's sequences.

    Returns:
        The files.
    """
    longest = max(len(s.curve) for s in results)
    curves = [
        (s.tracker, np.pad(s.curve, (0, longest - len(s.curve)), constant_values=np.nan), s.values["eao"])
        for s in results
    ]
    low, high = results[0].interval
    title = f"VOT, {len(results[0].sequences)} sequences, EAO over {low} to {high} frames"
    figure = _plot(
        np.arange(float(longest)), curves, title, "frames after the first", "expected average overlap"
    )
    save(figure, folder / f"eao.{suffix}")
    return [folder / f"eao.{suffix}", *(_write_rows(folder, scores) for scores in results)]


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the file appears complete, and is the same bytes for the same figure."""
    import matplotlib as mpl

    with (
        appearing(path) as temporary,
        mpl.rc_context({"svg.hashsalt": "trainer.evaluate", "svg.fonttype": "none"}),
    ):
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(temporary, format=path.suffix[1:], dpi=200, metadata=dates.get(path.suffix[1:]))


def _plot(
    thresholds: Curve, curves: Sequence[tuple[str, Curve, float]], title: str, x: str, y: str
) -> Figure:
    """One curve per tracker, the best first in the legend."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(curves, key=lambda curve: -np.nan_to_num(curve[2], nan=-1.0))
    for number, (tracker, curve, value) in enumerate(ordered):
        style = ("-", "--", ":")[number // 10 % 3]  # matplotlib has ten colours
        axes.plot(thresholds, curve, style, label=f"{tracker} [{value:.3f}]")
    axes.set(xlabel=x, ylabel=y, title=title, xlim=(0, thresholds[-1]), ylim=(0, 1))
    axes.grid(visible=True, alpha=0.4)
    axes.legend(fontsize="small")
    return figure


def _write_rows(folder: Path, scores: Scores | VotScores) -> Path:
    path = folder / f"{scores.tracker.replace('/', '_')}.csv"
    rows = scores.rows()
    with appearing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
    return path


def write_fractions_plot(path: Path, shares: Sequence[Fractions]) -> Path:
    """Draw who gave which share of the boxes, a stacked bar per tracker and dataset (the paper's Figure 6)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 1.2 + 0.35 * len(shares)), layout="constrained")
    axes = figure.subplots()
    names = sorted({name for share in shares for name in share.shares})
    labels = [f"{share.tracker}, {share.dataset}" for share in shares]
    left = np.zeros(len(shares))
    for name in names:
        width = np.array([share.shares.get(name, 0.0) for share in shares])
        axes.barh(labels, width, left=left, label=name)
        left += width
    axes.set(xlabel="fraction of frames", xlim=(0, 1))
    axes.invert_yaxis()
    axes.legend(fontsize="small", ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    save(figure, path)
    return path
