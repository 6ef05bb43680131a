"""Which tracker: a teacher of the registry, or one of the paper's three, which hold a student (and teachers).

On the command line trackers and teachers are written alike, see `teachers.pool`: `kcf`, `K2=kcf,padding=2`,
`ECO=recorded:/results/OTB100/ECO`. A YAML file holds what does not fit there, in the form of params.yaml's teachers:

    TRAST-K: {use: trast, weights: runs/first/best.safetensors, teacher: kcf}
    TRASFUST-KE: {use: trasfust, teachers: {KCF: {use: kcf}, ECO: {use: eco}}}
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.errors import DataError
from datasets.rows import read_bytes
from datasets.strict_yaml import parse_yaml_file
from teachers import pool, registry
from teachers.base import Teacher
from teachers.named_files import content_digest, files_of
from teachers.options import TeacherConfigError, parameters_of

STUDENTS = {
    "tras": "trainer.trackers:Tras",
    "trast": "trainer.trackers:Trast",
    "trasfust": "trainer.trackers:Trasfust",
}
"""The paper's trackers (Section 3.5) and what builds them."""


@dataclass(frozen=True)
class TrackerSpec:
    """A tracker that can be built in any process.

    Attributes:
        name: What results and tables call it.
        use: A teacher's name in the registry, or `module:callable`.
        options: Its options, as YAML gives them.
    """

    name: str
    use: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Teacher:
        """Build the tracker.

        Raises:
            ValueError: If there is no such tracker, or an option of it is wrong.
        """
        return registry.create(self.use, self.options)

    def check(self) -> None:
        """See that the tracker can be built, as far as can be told without loading networks.

        Raises:
            ValueError: If there is no such tracker, or an option of it or of a teacher beside it is wrong.
        """
        try:
            beside = self._beside()
            for use, options in pool.parts(self.use, self.options):
                registry.validate(use, options)
        except TeacherConfigError as error:
            raise TeacherConfigError(f"tracker {self.name}: {error}") from error
        if self.use == STUDENTS["trast"] and len(beside) != 1:
            raise TeacherConfigError(
                f"tracker {self.name}: TRAST has one teacher, not {len(beside)}: {', '.join(beside) or 'none'}"
            )

    def _beside(self) -> dict[str, dict[str, Any]]:
        return pool.beside(self.options) if registry.has_teachers(self.use) else {}

    def recipe(self) -> dict[str, Any]:
        """All that its boxes depend on beside the video, as JSON; of files and results named there, the content.

        Among the files are the modules of a user's own trackers, written `module:callable`: who works on one seldom
        raises its `version` at every change.

        Raises:
            ValueError: If a tracker that has to be built to know its version cannot be.
        """
        parts = pool.parts(self.use, self.options)
        version, *beside = (registry.version_of(use, options) for use, options in parts)
        modules = [registry.source_of(use) for use, _ in parts if use not in STUDENTS.values()]
        files = {*files_of(self.use, self.options), *filter(None, modules)}
        return {
            "use": self.use,
            "options": json.loads(json.dumps(self.options, default=str)),
            "version": version,
            "beside": dict(zip(self._beside(), beside, strict=True)),
            "files": {str(path): content_digest(path) for path in files},
        }


@dataclass(frozen=True)
class Defaults:
    """What the command line gives to trackers that hold a student and do not say it themselves.

    Attributes:
        weights: The student's.
        teachers: The teachers beside it, as written on the command line.
        kind: The kind of dataset that recorded teachers' boxes are of.
    """

    weights: Path | None = None
    teachers: Sequence[str] = ()
    kind: str | None = None


def parse_trackers(texts: Sequence[str], defaults: Defaults) -> list[TrackerSpec]:
    """Read trackers as they are written on the command line.

    Raises:
        ValueError: If one cannot be understood, or lacks weights or teachers.
    """
    return [_spec(name, entry, defaults) for name, entry in pool.named(texts, defaults.kind).items()]


def read_trackers(path: Path, defaults: Defaults) -> list[TrackerSpec]:
    """Read a YAML file of trackers: name -> {use: ..., option: value}.

    Raises:
        DataError: If it is not that.
        ValueError: If a tracker lacks weights or teachers.
    """
    remedy = "Write NAME: {use: kcf, option: value}, one tracker per line"
    if not path.is_file():
        raise DataError(path, "there is no such file", remedy)
    document = parse_yaml_file(read_bytes(path), path, remedy)
    if not isinstance(document, dict) or not document:
        raise DataError(path, "this is not a mapping of trackers", remedy)
    for name, entry in document.items():
        if not isinstance(entry, dict):
            raise DataError(path, f"{name} is {entry!r}, not a mapping", remedy)
    return [_spec(name, entry, defaults) for name, entry in pool.named(document, defaults.kind).items()]


def _spec(name: str, entry: Mapping[str, Any], defaults: Defaults) -> TrackerSpec:
    if not name or name.startswith(".") or any(c in name for c in "/\\\0"):
        remedy = "Give one without / and \\ that does not begin with a dot, as in NAME=kcf"
        raise ValueError(f"tracker {name!r}: the name becomes a folder's. {remedy}")
    options = {str(key): value for key, value in entry.items()}
    use = str(options.pop("use", name))
    if use not in STUDENTS:
        return TrackerSpec(name, use, options)
    if "weights" not in options:
        if defaults.weights is None:
            remedy = "Give its weights: --weights runs/first/best.safetensors"
            raise ValueError(f"tracker {name}: {_unknown(use, options)}{use} holds a student. {remedy}")
        options["weights"] = str(defaults.weights)
    wanted = {"trast": "teacher", "trasfust": "teachers"}.get(use)
    if wanted is not None and wanted not in options:
        if not defaults.teachers:
            remedy = "Name them: --teachers kcf"
            raise ValueError(f"tracker {name}: {_unknown(use, options)}{use} runs beside teachers. {remedy}")
        options[wanted] = pool.named(defaults.teachers, defaults.kind)
    elif wanted is not None:
        # Written anew only where the kind says something new: else boxes that are there would count as made otherwise.
        told = pool.beside(options, defaults.kind)
        options[wanted] = told if told != pool.beside(options) else options[wanted]
    return TrackerSpec(name, STUDENTS[use], options)


def _unknown(use: str, options: Mapping[str, Any]) -> str:
    """What is said first where an option is missing: those that are unknown, of which one may be meant for it."""
    known = parameters_of(use, registry.factory_of(STUDENTS[use]))
    said = ""
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            said += f"{name} is no option of {use}" + (f", did you mean {near[0]}?" if near else ".") + " "
    return said
