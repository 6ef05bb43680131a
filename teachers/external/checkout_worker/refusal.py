"""What a worker cannot do, said so that a user can mend it."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""What `pip` calls modules that trackers import, where that is another name."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a defect
    """Something that the user gave is not what it has to be.

    Args:
        path: The file or folder at fault.
        problem: What was found, with the offending value.
        remedy: What the user can do about it.
        account: Whether the traceback is of use to a user.
    """

    def __init__(self, path: str, problem: str, remedy: str, account: bool = False) -> None:
        super().__init__(path, problem, remedy)
        self.path, self.problem, self.remedy, self.account = path, problem, remedy, account

    def message(self) -> dict[str, Any]:
        """As it goes to the project."""
        return {
            "refused": {"path": self.path, "problem": self.problem, "remedy": self.remedy},
            "traceback": traceback.format_exc() if self.account else "",
        }


def told(error: BaseException, checkout: str) -> str:
    """An error in one line: its type, its message, and the last line of the checkout that led to it.

    Args:
        error: As it was caught.
        checkout: The checkout's folder.
    """
    text = " ".join(str(error).split())
    said = type(error).__name__ + (f": {text}" if text else "")
    inside = [
        f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(checkout + os.sep)
    ]
    return said + (
        f" ({os.path.relpath(inside[-1].filename, checkout)}, line {inside[-1].lineno})" if inside else ""
    )


def import_refusal(error: BaseException, checkout: str, made_for: str, ours: tuple[str, ...]) -> Refusal:
    """Why a checkout could not be set up, with the remedy that fits.

    Args:
        error: What was raised.
        checkout: Its folder.
        made_for: Which version of the project these adapters know.
        ours: Names of the checkout's own packages: a module missing there is another version's.
    """
    name = getattr(error, "name", None)
    if isinstance(error, ModuleNotFoundError) and name and name.split(".")[0] not in ours:
        return Refusal(
            checkout,
            f"it needs the module {name}, which this Python lacks ({told(error, checkout)})",
            f"Install it with `{sys.executable} -m pip install {_distribution(name)}`, or give the option python: the "
            "interpreter of an environment in which this checkout works",
        )
    return Refusal(
        checkout,
        f"it could not be set up: {told(error, checkout)}",
        f"This adapter was made for {made_for}: use that version, or mend the checkout",
        account=True,
    )


def _distribution(module: str) -> str:
    """What is installed for a module."""
    top = module.split(".")[0]
    return DISTRIBUTIONS.get(top, top)
