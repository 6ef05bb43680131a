"""Scores as the paper's Tables 2 to 5 show them: a row per tracker, a group of columns per benchmark."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from datasets.markup import latex, markdown
from trainer.evaluate.fractions import Fractions
from trainer.evaluate.protocol import TITLES

LOWER_IS_BETTER = frozenset({"robustness"})


class Result(Protocol):
    """One tracker on one dataset: `trainer.evaluate.scores.Scores`, or VOT's."""

    @property
    def tracker(self) -> str:
        """The tracker's name."""
        ...

    @property
    def spec(self) -> str:
        """The dataset, as the user named it."""
        ...

    @property
    def benchmark(self) -> str:
        """What the paper's tables call the dataset."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The measures to show, keys of `values`."""
        ...

    @property
    def values(self) -> Mapping[str, float]:
        """Measures by name."""
        ...

    @property
    def speed(self) -> float:
        """Frames per second, NaN if unknown."""
        ...

    def record(self) -> dict[str, Any]:
        """The result as JSON prints it."""
        ...


@dataclass(frozen=True)
class Grid:
    """A table of numbers; "–" where a tracker was not run.

    Attributes:
        groups: Datasets and how many columns each has.
        titles: One per column.
        rows: Trackers, each with one text per column.
        ranks: For every row and column: 1 for the best of the column, 2 for the second, else 0.
    """

    groups: list[tuple[str, int]]
    titles: list[str]
    rows: list[tuple[str, list[str]]]
    ranks: list[list[int]]


def grid(results: Sequence[Result]) -> Grid:
    """Arrange results: trackers and datasets in the order in which they first appear, speed last.

    A dataset goes by its benchmark's name, or where another is of the same benchmark (a split), by the user's.

    Raises:
        ValueError: If two results claim one place.
    """
    trackers = list(dict.fromkeys(result.tracker for result in results))
    columns = {result.spec: result.columns for result in results}
    benchmarks = {result.spec: result.benchmark for result in results}
    shared = {name for name, count in Counter(benchmarks.values()).items() if count > 1}
    by_place = {(result.tracker, result.spec): result for result in results}
    if len(by_place) < len(results):
        raise ValueError("a tracker's name stands twice for one dataset: --format json shows both")
    numbers: list[list[float]] = []
    for tracker in trackers:
        row = []
        for spec, names in columns.items():
            found = by_place.get((tracker, spec))
            row += [found.values[name] if found else math.nan for name in names]
        numbers.append(row)
    keys = [name for names in columns.values() for name in names]
    ranks = [[0] * len(keys) for _ in trackers]
    for c, key in enumerate(keys):
        _rank(ranks, c, [row[c] for row in numbers], sign=1 if key in LOWER_IS_BETTER else -1)
    texts = [[_number(value, 3) for value in row] for row in numbers]
    headings = {spec: spec if name in shared else name for spec, name in benchmarks.items()}
    groups = [(headings[spec], len(names)) for spec, names in columns.items()]
    titles = [TITLES[key] for key in keys]
    speeds = [_speed(results, tracker) for tracker in trackers]
    if not all(math.isnan(speed) for speed in speeds):
        groups.append(("", 1))
        titles.append("FPS")
        for t, speed in enumerate(speeds):
            texts[t].append(_number(speed, 0))
            ranks[t].append(0)
    return Grid(groups, titles, list(zip(trackers, texts, strict=True)), ranks)


def as_json(results: Sequence[Result]) -> str:
    """A list with one object per line; NaN, which JSON lacks, is null."""
    records = [
        {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in result.record().items()}
        for result in results
    ]
    return "[" + ",\n ".join(json.dumps(record, ensure_ascii=False) for record in records) + "]\n"


def as_markdown(results: Sequence[Result]) -> str:
    """A GitHub table; the best of each column is bold, the second underlined."""
    table = grid(results)
    marks = ("{}", "**{}**", "<u>{}</u>")
    heads = [
        f"{markdown(group)} {title}".strip()
        for title, group in zip(table.titles, [g for g, n in table.groups for _ in range(n)], strict=True)
    ]
    lines = ["| tracker | " + " | ".join(heads) + " |", "|:--|" + "--:|" * len(heads)]
    for (tracker, texts), ranks in zip(table.rows, table.ranks, strict=True):
        cells = [marks[rank].format(text) for text, rank in zip(texts, ranks, strict=True)]
        lines.append(f"| {markdown(tracker)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_latex(results: Sequence[Result]) -> str:
    r"""A table for the package booktabs; the best of each column is \textbf, the second \underline."""
    table = grid(results)
    marks = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}")
    rules, start = [], 2
    for group, count in table.groups:
        if group:
            rules.append(f"\\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    groups = [f"\\multicolumn{{{n}}}{{c}}{{{latex(g)}}}" for g, n in table.groups]
    titles = [title.replace(".50", "$_{0.50}$").replace(".75", "$_{0.75}$") for title in table.titles]
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{tabular}{l" + "r" * len(table.titles) + "}",
        "\\toprule",
        " & " + " & ".join(groups) + " \\\\",
        "".join(rules),
        "Tracker & " + " & ".join(titles) + " \\\\",
        "\\midrule",
    ]
    for (tracker, texts), ranks in zip(table.rows, table.ranks, strict=True):
        cells = [marks[rank].format(latex(text)) for text, rank in zip(texts, ranks, strict=True)]
        lines.append(f"{latex(tracker)} & " + " & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def as_table(results: Sequence[Result]) -> str:
    """A table for the terminal; coloured as the paper's where stdout is one (best red, second blue)."""
    table = grid(results)
    styles = ("", "bold red", "bold blue")
    shown = RichTable(box=None, pad_edge=False)
    shown.add_column("tracker", no_wrap=True)
    heads = [group for group, count in table.groups for _ in range(count)]
    for c, title in enumerate(table.titles):
        first = c == 0 or heads[c - 1] != heads[c]
        shown.add_column(f"{heads[c] if first else ''}\n{title}", justify="right", no_wrap=True)
    for (tracker, texts), ranks in zip(table.rows, table.ranks, strict=True):
        shown.add_row(tracker, *(Text(t, styles[r]) for t, r in zip(texts, ranks, strict=True)))
    return rendered(shown)


def per_sequence(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """A tracker's videos as a table for the terminal."""
    shown = RichTable(title=title, title_justify="left", box=None, pad_edge=False)
    for name in rows[0]:
        shown.add_column(
            TITLES.get(name, name), justify="left" if name == "sequence" else "right", no_wrap=True
        )
    for row in rows:
        shown.add_row(*(_number(v, 3) if isinstance(v, float) else str(v) for v in row.values()))
    return rendered(shown)


def fractions_table(shares: Sequence[Fractions]) -> str:
    """Who gave which share of the boxes: a row per tracker and dataset, a column per name."""
    shown = RichTable(box=None, pad_edge=False)
    names = sorted({name for share in shares for name in share.shares})
    for column in ("tracker", "dataset", "frames", *names):
        shown.add_column(
            column, justify="left" if column in {"tracker", "dataset"} else "right", no_wrap=True
        )
    for share in shares:
        fractions = [f"{share.shares.get(name, 0.0):.3f}" for name in names]
        shown.add_row(share.tracker, share.dataset, f"{share.frames:,}", *fractions)
    return rendered(shown)


FORMATS: dict[str, Callable[[Sequence[Result]], str]] = {
    "table": as_table,
    "json": as_json,
    "latex": as_latex,
    "markdown": as_markdown,
}


def rendered(shown: RichTable) -> str:
    """The text of a table that is as wide as its content, coloured where stdout is a terminal."""
    console = Console(markup=False)  # a tracker may be called net[v2]
    width = console.measure(shown, options=console.options.update(max_width=10_000)).maximum
    wide = Console(width=max(width, 20), force_terminal=console.is_terminal, markup=False)
    with wide.capture() as captured:
        wide.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _rank(ranks: list[list[int]], column: int, values: Sequence[float], sign: int) -> None:
    """Mark the best and the second of a column of at least two numbers, as they are shown: to three digits."""
    known = sorted({sign * round(value, 3) for value in values if not math.isnan(value)})
    if len([value for value in values if not math.isnan(value)]) < 2:
        return
    for row, value in enumerate(values):
        if not math.isnan(value):
            place = known.index(sign * round(value, 3))
            ranks[row][column] = place + 1 if place < 2 else 0


def _speed(results: Sequence[Result], tracker: str) -> float:
    """The mean over benchmarks of a tracker's frames per second."""
    speeds = [r.speed for r in results if r.tracker == tracker and not math.isnan(r.speed)]
    return sum(speeds) / len(speeds) if speeds else math.nan


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
