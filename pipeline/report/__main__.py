"""`python -m pipeline.report`: write the report."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from datasets.atomic import appearing
from datasets.command_line import run_only_command
from pipeline import places
from pipeline.params import read_params
from pipeline.report.page import render
from pipeline.stats import tracked_pool


@dataclass(frozen=True)
class Command:
    """Write one HTML file that shows what `dvc repro` made: Table 1, curves, failures, contact sheets.

    Example:
        python -m pipeline.report
    """

    params: Path = places.PARAMS
    """The parameters, which the report shows."""

    out: Path = places.REPORT / "index.html"
    """The file to write."""

    def run(self) -> int:
        """Write the report and say where it is."""
        page = render(tracked_pool(), read_params(self.params))
        with appearing(self.out) as temporary:
            temporary.write_text(page, encoding="utf-8", newline="\n")
        print(f"{self.out}: {len(page.encode()) / 1e6:.1f} MB; open it in a browser")
        return 0


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.report"))
