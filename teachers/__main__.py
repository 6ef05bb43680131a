"""`python -m teachers list | try`."""

from __future__ import annotations

import sys

from datasets.command_line import run_command
from teachers.list_command import List
from teachers.try_command import Try

COMMANDS = {"list": List, "try": Try}

if __name__ == "__main__":
    sys.exit(run_command(COMMANDS, "python -m teachers", "Trackers: which there are, and how well one does."))
