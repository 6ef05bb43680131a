"""The page: what the pipeline made, in the order in which a reader asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import yaml
from markupsafe import Markup

from pipeline import places
from pipeline.formats import grid
from pipeline.params import POOL_FILES, Params
from pipeline.report.figures import best_rows, beta_figures, overlap_figures, styles, survival_figures
from pipeline.report.sheets import contact_sheets
from pipeline.table1 import POOL
from pipeline.trajectories import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.stats import Pool
    from pipeline.table1 import Cell

HERE = Path(__file__).parent

SHOWN_FAILURES = 20
"""Messages of failed trajectories that the page holds, per teacher."""


class _Dumper(yaml.SafeDumper):
    """YAML as params.yaml is written: lists in one line, everything else one key per line."""


_Dumper.add_representer(list, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True))


@dataclass(frozen=True)
class Fate:
    """How one teacher's trajectories ended."""

    teacher: str
    completed: int
    abandoned: int
    failed: int
    messages: list[str]


def render(pool: Pool, params: Params) -> str:
    """The report as one HTML document without any other file; equal inputs give equal text.

    Args:
        pool: What the stages made, as params.yaml selects it.
        params: The parameters, to be shown.

    Raises:
        DataError: If the transfer set of the smallest β, or its pixels, cannot be read.
    """
    style = styles(pool.selection.teachers)
    cells = pool.table1()
    betas, rows = grid(cells, paper=True)
    smallest = places.transfer_set(POOL_FILES, pool.selection.betas[0])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("report.html.j2").render(
        css=Markup((HERE / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own style sheet
        pool=pool,
        style=style,
        headline=headline(cells, pool),
        betas=betas,
        rows=rows,
        fates=fates(pool),
        shown=SHOWN_FAILURES,
        changed=list(zip(pool.selection.betas, pool.selection.changed_by_absent.tolist(), strict=True)),
        beta_figures=beta_figures(pool, style),
        survival_figures=survival_figures(pool, style),
        overlap_figures=overlap_figures(pool, style),
        best=best_rows(pool, style),
        transfer_set=smallest,
        sheets=contact_sheets(smallest, style),
        parameters=shown_parameters(params),
    )


def headline(cells: Sequence[Cell], pool: Pool) -> dict[str, Any]:
    """The numbers at the top, at the smallest β: the pool's, and the best teacher's alone."""
    beta = pool.selection.betas[0]
    here = {cell.pool: cell for cell in cells if cell.beta == beta}
    together = here.pop(POOL)
    alone = max(here.values(), key=lambda cell: cell.trajectories)
    return {
        "beta": beta,
        "pool": together,
        "alone": alone,
        "gain": together.trajectories - alone.trajectories,
        "share": together.trajectories / max(len(pool.index), 1),
        "frames": together.windows * pool.selection.params.window_length,
    }


def fates(pool: Pool) -> list[Fate]:
    """How the trajectories of each teacher ended."""
    failed = pool.failed
    answer = []
    for name, trajectories in pool.trajectories.items():
        completed, abandoned = (
            int((trajectories.status == status).sum()) for status in (Status.COMPLETED, Status.ABANDONED)
        )
        answer.append(Fate(name, completed, abandoned, len(failed[name]), failed[name]))
    return answer


def shown_parameters(params: Params) -> list[tuple[str, str]]:
    """The sections of params.yaml that results depend on, as YAML with every default filled in."""
    values = params.model_dump(mode="json", exclude={"executor"})
    if params.dataset.kind != "synthetic":
        del values["synthetic"]
    return [
        (name, yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000).strip())
        for name, value in values.items()
    ]
