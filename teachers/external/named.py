"""Names of the trackers of checkouts, as a user writes them in params.yaml."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets.errors import DataError
from teachers.external.checkout import check_choice, check_project
from teachers.external.options import Options, PySotOptions
from teachers.external.teacher import External, Order
from teachers.options import Factory, TeacherConfigError


def pytracking(use: str, experiment: str, options: Options) -> Order:
    """What to run for any tracker of a checkout of pytracking.

    Args:
        use: As the user wrote it.
        experiment: TRACKER/PARAMETERS: names in its folders `tracker` and `parameter`.
        options: The user's.

    Raises:
        DataError: If one of the files or folders is not what it has to be.
    """
    tracker, _, parameters = experiment.partition("/")
    checkout, weights = options.checkout.absolute(), options.weights
    files = ("pytracking/evaluation/environment.py", "ltr/admin/loading.py")
    check_project(checkout, "pytracking", files, "https://github.com/visionml/pytracking")
    check_choice(checkout / "pytracking/tracker", "*/__init__.py", tracker, "tracker")
    check_choice(
        checkout / "pytracking/parameter" / tracker, "*.py", parameters, f"parameter file of {tracker}"
    )
    if not weights.exists():
        raise DataError(
            weights, "there are no such weights", "Give the network's file, or the folder of networks"
        )
    driver = {"module": ".pytracking_tracker", "class": "PyTracking", "experiment": experiment}
    return Order(use, options, ("pytracking", "ltr"), driver)


def pysot(use: str, experiment: str, options: PySotOptions) -> Order:
    """What to run for any experiment of a checkout of pysot.

    Args:
        use: As the user wrote it.
        experiment: The name of a folder of its `experiments`.
        options: The user's.

    Raises:
        DataError: If the checkout is none, or has no such experiment.
    """
    checkout = options.checkout.absolute()
    files = ("pysot/core/config.py", "pysot/tracker/tracker_builder.py")
    check_project(checkout, "pysot", files, "https://github.com/STVIR/pysot")
    check_choice(checkout / "experiments", "*/config.yaml", experiment, "experiment")
    driver = {
        "module": ".pysot_tracker",
        "class": "PySot",
        "experiment": experiment,
        "start": options.start,
    }
    return Order(use, options, ("pysot", f"experiments/{experiment}"), driver)


@dataclass(frozen=True)
class Project:
    """A project whose checkouts are driven.

    Attributes:
        options: What a user may say of them.
        order: What to run, of the name as the user wrote it, what follows the colon in it, and the options.
        pattern: What follows the project's name and a colon, as a regular expression.
        written: The same for people, with an example.
        remedy: Where the checkout and the weights come from.
    """

    options: type[Options]
    order: Callable[[str, str, Any], Order]
    pattern: str
    written: str
    remedy: str


PROJECTS = {
    "pytracking": Project(
        Options,
        pytracking,
        r"\w+/\w+",
        "pytracking:TRACKER/PARAMETERS, such as pytracking:dimp/dimp50",
        "checkout is the folder of `git clone https://github.com/visionml/pytracking`; its MODEL_ZOO.md says where "
        "the networks are",
    ),
    "pysot": Project(
        PySotOptions,
        pysot,
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

    def build(**options: Any) -> External:  # noqa: ANN401 - checked by the signature below
        return External(project.order(use, experiment, project.options(**options)))

    build.__signature__ = inspect.signature(project.options, eval_str=True)  # type: ignore[attr-defined]  # what is read
    build.__doc__ = f"{experiment} of a checkout of {name}, in a process of its own"
    build.version = None  # type: ignore[attr-defined]  # the code of a checkout says it, see `registry.version_of`
    return build


def remedy(use: str) -> str:
    """Where what such a teacher needs comes from."""
    return PROJECTS[use.partition(":")[0]].remedy
