"""`python -m teachers list | fetch | try`."""

from __future__ import annotations

import sys

from datasets.command_line import run_command
from teachers.fetch_command import Fetch
from teachers.list_command import List
from teachers.try_command import Try

COMMANDS = {"list": List, "fetch": Fetch, "try": Try}

if __name__ == "__main__":
    sys.exit(
        run_command(
            COMMANDS, "python -m teachers", "Trackers: which there are, their weights, and how well one does."
        )
    )
