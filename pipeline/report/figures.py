"""The report's charts, from the pool's trajectories: survival, overlaps, β, and who is best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.curves import BINS, best_teachers, over_betas, overlaps, survival
from pipeline.report.charts import Axis, Series, frame_axis, histogram, lines, round_axis, shares_bar
from pipeline.table1 import POOL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from pipeline.stats import Pool

COLOURS = 7
"""Teachers that style.css tells apart; from there on they repeat."""


@dataclass(frozen=True)
class Figure:
    """A chart with its title, and a line of words below it."""

    title: str
    chart: Markup
    words: str = ""


def styles(teachers: Sequence[str]) -> dict[str, str]:
    """Class of each teacher, and of the pool, in style.css."""
    return {name: f"s{k % COLOURS}" for k, name in enumerate(teachers)} | {POOL: "pool"}


def survival_figures(pool: Pool, style: Mapping[str, str]) -> list[Figure]:
    """Share of videos still above β at frame t, one chart per β."""
    rows = [row for row in survival(pool.index, pool.trajectories, pool.selection) if row.frame]
    x = frame_axis(int(pool.index.lengths.max(initial=2)) - 1)
    y = Axis("share of videos", 0, 1, (0, 0.25, 0.5, 0.75, 1), percent=True)
    figures = []
    for beta in pool.selection.betas:
        series = [
            Series(name, style[name], [(r.frame, r.share) for r in rows if r.pool == name and r.beta == beta])
            for name in style
        ]
        ends = [f"{one.name} {one.points[-1][1]:.1%}" for one in series if one.points]
        alt = f"Share of videos still above β = {beta:g} by frame. At the last frame: {', '.join(ends)}."
        figures.append(Figure(f"β = {beta:g}", lines(series, x, y, alt)))
    return figures


def beta_figures(pool: Pool, style: Mapping[str, str]) -> list[Figure]:
    """Positive trajectories, and their average overlap, over β."""
    cells = over_betas(pool.index, pool.trajectories, pool.selection)
    betas = sorted({cell.beta for cell in cells})
    low, high = betas[0], max(betas[-1], betas[0] + 0.01)
    ticks = [round(t / 20, 2) for t in range(20) if low <= round(t / 20, 2) <= high]
    x = Axis("β", low, high, [t for t in ticks if round(t * 10, 6) % 1 == 0] or [low, high])
    most = max(cell.trajectories for cell in cells)
    count = [
        Series(name, style[name], [(c.beta, c.trajectories) for c in cells if c.pool == name])
        for name in style
    ]
    kept = [c for c in cells if c.trajectories]
    quality = [Series(name, style[name], [(c.beta, c.ao) for c in kept if c.pool == name]) for name in style]
    at = {(c.pool, c.beta): c for c in cells}
    first = ", ".join(f"{name} {at[name, low].trajectories}" for name in style)
    y = (
        Axis("", 0.5, 1, (0.5, 0.6, 0.7, 0.8, 0.9, 1))
        if low >= 0.5
        else Axis("", 0, 1, (0, 0.25, 0.5, 0.75, 1))
    )
    best = ", ".join(f"{name} {at[name, low].ao:.3f}" for name in style)
    return [
        Figure(
            "Positive trajectories",
            lines(count, x, round_axis("", most), f"Positive trajectories over β. At β = {low:g}: {first}."),
        ),
        Figure(
            "Their average overlap",
            lines(quality, x, y, f"Average overlap over β. At β = {low:g}: {best}."),
            "A line ends where no trajectory is left.",
        ),
    ]


def overlap_figures(pool: Pool, style: Mapping[str, str]) -> list[Figure]:
    """Histogram of each teacher's overlaps over the frames that it tracked."""
    rows = overlaps(pool.index, pool.trajectories)
    by_teacher = {name: [row for row in rows if row.pool == name] for name in pool.trajectories}
    x = Axis("overlap", 0, 1, (0, 0.25, 0.5, 0.75, 1))
    y = round_axis("", max((row.share for row in rows), default=0.0), percent=True)
    figures = []
    for name, bins in by_teacher.items():
        frames = sum(row.frames for row in bins)
        middle = None
        words = "no frame was tracked"
        if frames:
            at = int(np.searchsorted(np.cumsum([row.frames for row in bins]), frames / 2))
            middle = (at + 0.5) / BINS
            words = f"{frames:,} frames tracked, median about {middle:.2f}"
        alt = f"Histogram of the overlaps of {name}: {words}."
        figures.append(
            Figure(name, histogram([row.share for row in bins], style[name], x, y, alt, middle), words)
        )
    return figures


@dataclass(frozen=True)
class BestRow:
    """Who is best at one β: the divided bar, and each teacher's share."""

    beta: float
    frames: int
    bar: Markup
    shares: list[tuple[str, float]]


def best_rows(pool: Pool, style: Mapping[str, str]) -> list[BestRow]:
    """Share of the pool's frames on which each teacher is the best of the positive ones."""
    rows = best_teachers(pool.index, pool.trajectories, pool.selection)
    answer = []
    for beta in pool.selection.betas:
        here = [row for row in rows if row.beta == beta]
        frames = sum(row.frames for row in here)
        if frames:
            words = ", ".join(f"{row.pool} {row.share:.1%}" for row in here)
            bar = shares_bar([(r.pool, style[r.pool], r.share) for r in here], f"β = {beta:g}: {words}")
            answer.append(BestRow(beta, frames, bar, [(row.pool, row.share) for row in here]))
    return answer
