"""Names and options of the trackers of checkouts, as a user writes them in params.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import DirectoryPath, FilePath

from datasets.errors import DataError
from teachers.external.checkout import check_choice, check_project
from teachers.external.teacher import REVISION, External, Order
from teachers.options import Factory, TeacherConfigError

Start = Literal["centre", "pysot-init"]
"""Where pysot's tracker takes the target's centre to be: see `teachers.siamrpn.variants.Start`."""


class PyTracking(External):
    """Any tracker of a checkout of pytracking.

    Args:
        experiment: TRACKER/PARAMETERS: names in its folders `tracker` and `parameter`.
        use: As the user wrote it.
        checkout: The checkout's folder.
        weights: The network's file, or the folder of networks that its settings call network_path.
        device: "cpu", "cuda", "cuda:1" ...
        threads: int of the tracker's process on the CPU; boxes are equal only for equal numbers.
        python: The interpreter of an environment in which the checkout works; None is this one.
        patience: float without an answer (importing, the first frame, a frame) that mean that it hangs.
        trust_weights: Whether the file of weights may run code while it is loaded.

    Raises:
        DataError: If one of the files or folders is not what it has to be.
        TeacherConfigError: If there is no such device.
    """

    def __init__(
        self,
        experiment: str,
        use: str,
        /,
        checkout: DirectoryPath,
        weights: Path,
        device: str = "cpu",
        threads: int = 1,
        python: FilePath | None = None,
        patience: float = 600.0,
        trust_weights: bool = False,
    ) -> None:
        tracker, _, parameters = experiment.partition("/")
        checkout = checkout.absolute()
        files = ("pytracking/evaluation/environment.py", "ltr/admin/loading.py")
        check_project(checkout, "pytracking", files, "https://github.com/visionml/pytracking")
        check_choice(checkout / "pytracking/tracker", "*/__init__.py", tracker, "tracker")
        check_choice(
            checkout / "pytracking/parameter" / tracker, "*.py", parameters, f"parameter file of {tracker}"
        )
        _existing(weights)
        message = {
            **_common(checkout, weights, device, threads, trust_weights),
            "module": ".pytracking_tracker",
            "class": "PyTracking",
            "experiment": experiment,
        }
        super().__init__(Order(use, checkout, ("pytracking", "ltr"), message, python, threads, patience))


class PySot(External):
    """Any experiment of a checkout of pysot.

    Args:
        experiment: The name of a folder of its `experiments`.
        use: As the user wrote it.
        checkout: The checkout's folder.
        weights: The experiment's checkpoint.
        device: "cpu", "cuda", "cuda:1" ...
        threads: int of the tracker's process on the CPU; boxes are equal only for equal numbers.
        python: The interpreter of an environment in which the checkout works; None is this one.
        patience: float without an answer (importing, the first frame, a frame) that mean that it hangs.
        trust_weights: Whether the file of weights may run code while it is loaded.
        start: Where the target's centre is at the start: see `Start`.

    Raises:
        DataError: If one of the files or folders is not what it has to be.
        TeacherConfigError: If there is no such device.
    """

    def __init__(
        self,
        experiment: str,
        use: str,
        /,
        checkout: DirectoryPath,
        weights: FilePath,
        device: str = "cpu",
        threads: int = 1,
        python: FilePath | None = None,
        patience: float = 600.0,
        trust_weights: bool = False,
        start: Start = "centre",
    ) -> None:
        checkout = checkout.absolute()
        files = ("pysot/core/config.py", "pysot/tracker/tracker_builder.py")
        check_project(checkout, "pysot", files, "https://github.com/STVIR/pysot")
        check_choice(checkout / "experiments", "*/config.yaml", experiment, "experiment")
        message = {
            **_common(checkout, weights, device, threads, trust_weights),
            "module": ".pysot_tracker",
            "class": "PySot",
            "experiment": experiment,
            "start": start,
        }
        sources = ("pysot", f"experiments/{experiment}")
        super().__init__(Order(use, checkout, sources, message, python, threads, patience))


@dataclass(frozen=True)
class Project:
    """A project whose checkouts are driven.

    Attributes:
        kind: What drives them.
        pattern: What follows the project's name and a colon, as a regular expression.
        written: The same for people, with an example.
        remedy: Where the checkout and the weights come from.
    """

    kind: Callable[..., External]
    pattern: str
    written: str
    remedy: str


PROJECTS = {
    "pytracking": Project(
        PyTracking,
        r"\w+/\w+",
        "pytracking:TRACKER/PARAMETERS, such as pytracking:dimp/dimp50",
        "checkout is the folder of `git clone https://github.com/visionml/pytracking`; its MODEL_ZOO.md says where "
        "the networks are",
    ),
    "pysot": Project(
        PySot,
        r"\w[\w.-]*",
        "pysot:EXPERIMENT, such as pysot:siamrpn_alex_dwxcorr",
        "checkout is the folder of `git clone https://github.com/STVIR/pysot`; its MODEL_ZOO.md says where the "
        "checkpoints are",
    ),
}
"""By the name that stands before the colon. A module of that name cannot be used as `module:callable`."""


def is_external(use: str) -> bool:
    """Whether a teacher's name is that of a tracker of a checkout."""
    return use.partition(":")[0] in PROJECTS and ":" in use


def factory(use: str) -> Factory:
    """What builds the teacher of a name from its options.

    Raises:
        TeacherConfigError: If what follows the colon is not what that project's trackers are called.
    """
    name, _, experiment = use.partition(":")
    project = PROJECTS[name]
    if not re.fullmatch(project.pattern, experiment):
        raise TeacherConfigError(f"teacher {use!r}: write {project.written}")
    build = partial(project.kind, experiment, use)
    build.__doc__ = f"{experiment} of a checkout of {name}, in a process of its own"
    build.version = REVISION  # type: ignore[attr-defined]  # for `version_of`; the teacher's own one says more
    return build


def remedy(use: str) -> str:
    """Where what such a teacher needs comes from."""
    return PROJECTS[use.partition(":")[0]].remedy


def _existing(weights: Path) -> None:
    if not weights.exists():
        raise DataError(
            weights, "there are no such weights", "Give the network's file, or the folder of networks"
        )


def _common(checkout: Path, weights: Path, device: str, threads: int, trust: bool) -> dict[str, object]:
    """What both projects' workers are told."""
    return {
        "checkout": str(checkout),
        "weights": str(weights.absolute()),
        "device": device,
        "threads": threads,
        "trust": trust,
    }
