"""The formats of Table 1: CSV, Markdown, LaTeX, tables for any terminal, beside the paper's rows."""

from __future__ import annotations

import io
import re

import pandas as pd
from stats_samples import params, small_pool

from datasets.markup import latex, markdown
from pipeline import formats
from pipeline.paper import paper_cells
from pipeline.select import select
from pipeline.table1 import Cell, table1


def cells_of() -> list[Cell]:
    index, trajectories = small_pool()
    return table1(index, trajectories, select(index, trajectories, params()))


def test_csv_is_what_pandas_reads() -> None:
    table = pd.read_csv(io.StringIO(formats.as_csv(cells_of(), paper=True)))
    assert list(table.columns[:5]) == ["pool", "beta", "trajectories", "ao", "windows"]
    assert len(table) == 15
    kcf = table[(table.pool == "kcf") & (table.beta == 0.5)].iloc[0]
    assert (kcf.trajectories, kcf.paper_trajectories, kcf.paper_ao, kcf.paper_windows) == (
        4,
        1884,
        0.798,
        9225,
    )
    assert table[table.pool == "csrt"].paper_ao.isna().all()


def test_paper_rows_are_matched_whatever_the_capitals() -> None:
    cell = Cell("SiamRPN", 0.5, 1, 0.9, 5)
    assert formats.as_records([cell], paper=True)[0]["paper"] == {
        "trajectories": 3913,
        "ao": 0.829,
        "windows": 19259,
    }
    other = Cell("SiamRPN", 0.55, 1, 0.9, 5)
    assert formats.as_records([other], paper=True)[0]["paper"] is None
    assert len(paper_cells()) == 25


def test_markdown_is_one_table() -> None:
    lines = formats.as_markdown(cells_of(), paper=True).splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert re.fullmatch(r"\|:--\|(--:\|){15}", lines[1])
    assert len(lines) == 2 + 3 + 2  # kcf and pool have a line of the paper's


def test_latex_is_structurally_sound() -> None:
    cells = [Cell("a_b&c", c.beta, c.trajectories, c.ao, c.windows) for c in cells_of() if c.pool == "kcf"]
    text = formats.as_latex(cells, paper=True)
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1
    for rule in ("\\toprule", "\\midrule", "\\bottomrule"):
        assert text.count(rule) == 1
    columns = len(text.split("\\begin{tabular}{")[1].split("}")[0])
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
        assert line.endswith("\\\\")
    assert body[0].startswith("a\\_b\\&c & ")
    assert text.count("{") == text.count("}")


def test_signs_that_mean_something_else_in_a_table() -> None:
    signs = "\\`*_{}[]<>#|~"
    assert markdown(f"a{signs}b & c") == "a" + "".join(f"\\{sign}" for sign in signs) + "b & c"
    assert latex("a&%$#_{}b") == "a\\&\\%\\$\\#\\_\\{\\}b"
    assert latex("~^\\–*") == "\\textasciitilde{}\\textasciicircum{}\\textbackslash{}--*"


def test_tables_fit_any_number_of_betas() -> None:
    cells = [Cell("a-teacher", round(b / 100, 2), 1234, 0.5, 12345) for b in range(50, 96)]
    text = formats.as_table(cells)
    assert max(map(len, text.splitlines())) <= formats.WIDTH
    assert text.count("β = ") == 46
    narrow = formats.as_table(cells, width=30)
    assert max(map(len, narrow.splitlines())) <= 30
    assert narrow.count("β = ") == 46


def test_no_positive_trajectory_at_all() -> None:
    index, trajectories = small_pool()
    cells = table1(index, trajectories, select(index, trajectories, params(betas=(0.97, 0.99))))
    assert {(c.trajectories, c.ao, c.windows) for c in cells} == {(0, 0.0, 0)}
    for form in formats.FORMATS.values():
        assert "nan" not in form(cells).lower()
