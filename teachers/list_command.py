"""`python -m teachers list`: which teachers there are, and which can run here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from teachers import listing


@dataclass(frozen=True)
class List:
    """Show all teachers; with names, everything about those, options included.

    Example:
        python -m teachers list
        python -m teachers list csrt nano
        python -m teachers list --json
    """

    names: Positional[tuple[str, ...]] = ()
    """Teachers to show with their options: names, or module:callable."""
    json: bool = False
    """Print a JSON list to stdout."""

    def run(self) -> int:
        """Print the list; the exit code is 0 even where a teacher cannot run."""
        described = listing.describe(self.names, options=bool(self.names))
        if self.json:
            print(json.dumps([{**asdict(d), "state": d.state} for d in described], indent=2))
        elif self.names:
            for description in described:
                _show(description)
        else:
            _show_table(described)
        return 0


def _show_table(described: list[listing.Description]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "what", "state"):
        table.add_column(title, overflow="fold")  # on a narrow terminal a long word goes on below, whole
    for d in described:
        origin = "" if d.origin == "built in" else f" [{d.origin}]"
        # Text from packages may hold square brackets, which rich would take for its markup.
        table.add_row(*(part.replace("[", r"\[") for part in (d.name, d.what + origin, d.state)))
    Console().print(table)


def _show(d: listing.Description) -> None:
    print(f"{d.name}: {d.what}")
    facts = {"state": d.state, "origin": d.origin, "licence": d.licence, "reference": d.reference}
    for key, value in facts.items():
        if value:
            print(f"  {key}: {value}")
    print("  options:" + ("" if d.options else " none that can be shown"))
    for option in d.options:
        print(f"    {option}")
