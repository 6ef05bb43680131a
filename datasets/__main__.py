"""`python -m datasets synth | audit | info | validate`."""

from __future__ import annotations

import importlib
import importlib.util
import sys

from datasets.audit_command import Audit
from datasets.command_line import run_command
from datasets.synthetic.command import Synth


def main() -> int:
    """Run the command line and return the exit code."""
    commands: dict[str, type] = {"synth": Synth, "audit": Audit}
    if importlib.util.find_spec("datasets.transfer.command") is not None:
        transfer = importlib.import_module("datasets.transfer.command")
        commands |= {"info": transfer.Info, "validate": transfer.Validate}
    return run_command(commands, "python -m datasets", "Source videos and transfer sets on disk.")


if __name__ == "__main__":
    sys.exit(main())
