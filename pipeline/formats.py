"""Table 1 as text: for terminals, programs (JSON, CSV), GitHub (Markdown) and papers (LaTeX)."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets.markup import latex, markdown
from pipeline.paper import Printed, paper_cells
from pipeline.table1 import POOL, Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 100
"""Characters that a table may take, at most."""

GAP = 2
"""Spaces between the columns of a table for the terminal."""


@dataclass(frozen=True)
class Row:
    """One line of a table: a pool's cells over all β, or the paper's for it.

    Attributes:
        name: What the line is called.
        cells: One per β; None where the paper has no number.
        pool: The pool that it belongs to.
        paper: Whether it is the paper's.
    """

    name: str
    cells: Sequence[Cell | Printed | None]
    pool: str = ""
    paper: bool = False


def as_records(cells: Sequence[Cell], *, paper: bool = False) -> list[dict[str, Any]]:
    """One dict per cell: pool, beta, trajectories, ao (6 decimals), windows; `paper`, its numbers or None."""
    printed = paper_cells() if paper else {}
    records = []
    for cell in cells:
        record: dict[str, Any] = {
            "pool": cell.pool,
            "beta": cell.beta,
            "trajectories": cell.trajectories,
            "ao": round(cell.ao, 6),
            "windows": cell.windows,
        }
        if paper:
            found = printed.get((cell.pool.lower(), cell.beta))
            record["paper"] = vars(found) if found else None
        records.append(record)
    return records


def as_json(cells: Sequence[Cell], *, paper: bool = False) -> str:
    """A list with one object per line."""
    lines = ",\n ".join(json.dumps(record, ensure_ascii=False) for record in as_records(cells, paper=paper))
    return f"[{lines}]\n"


def as_csv(cells: Sequence[Cell], *, paper: bool = False) -> str:
    """One line per cell; the paper's numbers in columns of their own, empty where it has none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = ["pool", "beta", "trajectories", "ao", "windows"]
    extra = ["paper_trajectories", "paper_ao", "paper_windows"]
    writer.writerow(columns + extra if paper else columns)
    for record in as_records(cells, paper=paper):
        printed = record.get("paper")
        row = [record[column] for column in columns]
        writer.writerow(row + (list(printed.values()) if printed else [""] * 3) if paper else row)
    return out.getvalue()


def as_markdown(cells: Sequence[Cell], *, paper: bool = False) -> str:
    """A GitHub table, β across."""
    header, rows = grid(cells, paper=paper)
    lines = ["| teacher | " + " | ".join(f"β = {beta:g}: # traj | AO | \\|D\\|" for beta in header) + " |"]
    lines.append("|:--|" + "--:|" * 3 * len(header))
    for row in rows:
        values = " | ".join(" | ".join(_numbers(cell)) for cell in row.cells)
        lines.append(f"| {markdown(row.name)} | {values} |")
    return "\n".join(lines) + "\n"


def as_latex(cells: Sequence[Cell], *, paper: bool = False) -> str:
    """A table for the package booktabs, laid out like the paper's."""
    header, rows = grid(cells, paper=paper)
    groups = [f"\\multicolumn{{3}}{{c}}{{$\\beta = {beta:g}$}}" for beta in header]
    rules = "".join(f"\\cmidrule(lr){{{2 + 3 * b}-{4 + 3 * b}}}" for b in range(len(header)))
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{tabular}{l" + "rrr" * len(header) + "}",
        "\\toprule",
        " & " + " & ".join(groups) + " \\\\",
        rules,
        "Teacher & " + " & ".join(["\\# traj & AO & $|\\mathcal{D}|$"] * len(header)) + " \\\\",
        "\\midrule",
    ]
    for row in rows:
        values = " & ".join(" & ".join(_numbers(cell)) for cell in row.cells)
        name = "\\quad paper" if row.paper else latex(row.name)
        lines.append(f"{name} & {values} \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def as_table(cells: Sequence[Cell], *, paper: bool = False, width: int = WIDTH, colour: bool = False) -> str:
    """Tables for the terminal, β across, as many side by side as fit.

    Args:
        cells: Table 1.
        paper: Put a line with the paper's numbers below the teachers that it has.
        width: Characters per line.
        colour: Write escape sequences for bold and dim text.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    header, rows = grid(cells, paper=paper)
    numbers = [_numbers(cell) for row in rows for cell in row.cells]
    columns = ("traj", "AO", "|D|")
    widths = [max(len(row[i]) for row in [*numbers, columns]) for i in range(3)]
    name_width = max(len(_label(row)) for row in [*rows, Row("teacher", [])])
    each = sum(widths) + 2
    side_by_side = max(1, (width - name_width) // (each + GAP))
    out = io.StringIO()
    console = Console(
        file=out, width=max(width, name_width + sum(widths) + 6), force_terminal=colour, no_color=not colour
    )
    for first in range(0, len(header), side_by_side):
        here = slice(first, first + side_by_side)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)
        table.add_column("\nteacher", no_wrap=True)
        for beta in header[here]:
            table.add_column(f"β = {beta:g}\n" + _aligned(columns, widths), justify="right", no_wrap=True)
        for row in rows:
            style = "dim" if row.paper else "bold" if row.pool == POOL else ""
            values = [_aligned(_numbers(cell), widths) for cell in row.cells[here]]
            table.add_row(*(Text(text, style) for text in [_label(row), *values]))
        console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n") + "\n"


def grid(cells: Sequence[Cell], *, paper: bool = False) -> tuple[list[float], list[Row]]:
    """The table with β across: its β and its lines, a teacher's followed by the paper's where it has one."""
    betas = sorted({cell.beta for cell in cells})
    printed = paper_cells() if paper else {}
    rows = []
    for pool in dict.fromkeys(cell.pool for cell in cells):
        own: dict[float, Cell] = {cell.beta: cell for cell in cells if cell.pool == pool}
        rows.append(Row(pool, [own[beta] for beta in betas], pool))
        theirs = [printed.get((pool.lower(), beta)) for beta in betas]
        if any(theirs):
            rows.append(Row("paper", theirs, pool, paper=True))
    return betas, rows


def _label(row: Row) -> str:
    return f"  {row.name}" if row.paper else row.name


def _numbers(cell: Cell | Printed | None) -> list[str]:
    return ["–"] * 3 if cell is None else [str(cell.trajectories), f"{cell.ao:.3f}", str(cell.windows)]


def _aligned(values: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(value.rjust(width) for value, width in zip(values, widths, strict=True))


FORMATS: dict[str, Callable[..., str]] = {
    "table": as_table,
    "csv": as_csv,
    "json": as_json,
    "markdown": as_markdown,
    "latex": as_latex,
}
