"""`python -m trainer.evaluate`."""

import sys

from datasets.command_line import run_only_command
from trainer.evaluate.command import Evaluate

if __name__ == "__main__":
    sys.exit(run_only_command(Evaluate, "python -m trainer.evaluate"))
