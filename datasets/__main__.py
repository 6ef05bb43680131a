"""`python -m datasets synth | audit | info | validate | repair | view | merge | export`."""

from __future__ import annotations

import sys

from datasets.audit_command import Audit
from datasets.command_line import run_command
from datasets.synthetic.command import Synth
from datasets.transfer.command import Info, Validate
from datasets.transfer.export import Export
from datasets.transfer.merge import Merge
from datasets.transfer.repair import Repair
from datasets.transfer.view import View


def main() -> int:
    """Run the command line and return the exit code."""
    commands: dict[str, type] = {
        "synth": Synth,
        "audit": Audit,
        "info": Info,
        "validate": Validate,
        "repair": Repair,
        "view": View,
        "merge": Merge,
        "export": Export,
    }
    return run_command(commands, "python -m datasets", "Source videos and transfer sets on disk.")


if __name__ == "__main__":
    sys.exit(main())
