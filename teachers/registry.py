"""Names and options to teachers.

`use` is one of four things:

- a name of the catalogue (`kcf`, `csrt` ...): `python -m teachers list` shows them;
- a name that an installed package gives through the entry point group `tracking_by_trackers.teachers`;
- `pytracking:TRACKER/PARAMETERS` or `pysot:EXPERIMENT`, a tracker of a user's own checkout (`teachers.external`);
- `module:callable`, any importable class or function that builds a teacher, or a tracker in the style of the
  GOT-10k toolkit (`init(image, box)`, `update(image)`), which `teachers.adapted` then wraps.

Nothing is imported before it is asked for. See docs/adding-a-teacher.md.
"""

from __future__ import annotations

import difflib
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import DataError
from teachers import adapted, checkpoints, external
from teachers.base import Batchable, BatchTeacher, Teacher, TeacherError, is_out_of_memory
from teachers.catalogue import CATALOGUE, Entry, load
from teachers.options import Factory, TeacherConfigError, checked_options
from teachers.third_party import FAULTS, at_home

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "tracking_by_trackers.teachers"
"""The entry point group of third parties: name -> what `module:callable` may name as well."""

BUILT_IN: Mapping[str, Entry] = {entry.name: entry for entry in CATALOGUE}
"""The catalogue by name."""


def names() -> list[str]:
    """All teachers that have a name: the catalogue's, then installed packages' in alphabetical order."""
    return [*BUILT_IN, *sorted(installed())]


def installed() -> dict[str, EntryPoint]:
    """Third parties' entry points by name; a catalogue's name cannot be taken over."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}


def factory_of(use: str) -> Factory:
    """Import whatever builds a teacher, and ask it whether it can run here.

    Raises:
        TeacherConfigError: If there is no such teacher, or it cannot be imported or run here.
    """
    factory = _loaded(use)
    if not callable(factory):
        raise TeacherConfigError(
            f"teacher {use!r}: {factory!r} is not a class or function that builds a teacher"
        )
    try:
        reason = getattr(factory, "unavailable", lambda: None)()
    except FAULTS as error:  # a third party's code
        raise TeacherConfigError(f"teacher {use!r}: {type(error).__name__}: {error}") from error
    if reason:
        raise TeacherConfigError(f"teacher {use!r}: {reason}")
    return factory


def create(use: str, options: Mapping[str, object]) -> Teacher:
    """Build a teacher.

    Args:
        use: Its name or `module:callable`.
        options: Its options, as YAML gives them.

    Raises:
        TeacherConfigError: If there is no such teacher, it cannot be imported or run here, or an option is
            wrong.
        TeacherError: If it cannot be built for another reason that it knows.
    """
    factory = factory_of(use)
    checked = _checked(use, factory, options)
    try:
        with at_home():
            teacher = factory(**checked)
    except (TeacherConfigError, TeacherError, DataError):
        raise
    except FAULTS as error:  # a third party's constructor
        if is_out_of_memory(error):
            raise
        told = TeacherConfigError(f"teacher {use!r} cannot be built: {type(error).__name__}: {error}")
        told.add_note(traceback.format_exc().strip())
        raise told from error
    if not isinstance(teacher, Teacher):
        missing = [a for a in ("version", "needs_images", "start", "track") if not hasattr(teacher, a)]
        raise TeacherConfigError(
            f"teacher {use!r}: a {type(teacher).__name__} is not a teacher, it lacks {', '.join(missing)}. "
            "See docs/adding-a-teacher.md"
        )
    _checked_version(use, teacher)
    return teacher


def can_batch(use: str) -> bool:
    """Whether a teacher tracks many videos at once: it has a method `batch(slots)`.

    Raises:
        TeacherConfigError: If there is no such teacher.
    """
    return callable(getattr(factory_of(use), "batch", None))


def workers_on_gpu(use: str, usual: int) -> int:
    """How many workers share a GPU at most: the teacher's attribute `workers_on_gpu`, or what is usual.

    Raises:
        TeacherConfigError: If there is no such teacher.
    """
    return int(getattr(factory_of(use), "workers_on_gpu", usual))


def has_teachers(use: str) -> bool:
    """Whether a tracker's options `teacher` and `teachers` name teachers beside it: it says so by `has_teachers`.

    Raises:
        TeacherConfigError: If there is no such teacher.
    """
    return bool(getattr(factory_of(use), "has_teachers", False))


def create_batch(use: str, options: Mapping[str, object], slots: int) -> BatchTeacher:
    """Build a teacher of many videos at once.

    Args:
        use: Its name or `module:callable`.
        options: Its options, as YAML gives them.
        slots: How many at most.

    Raises:
        TeacherConfigError: As `create` does, and if this teacher tracks one video at a time.
        TeacherError: If it cannot be built for another reason that it knows.
    """
    teacher = create(use, options)
    if not isinstance(teacher, Batchable):
        raise TeacherConfigError(f"teacher {use!r} tracks one video at a time: it has no method batch(slots)")
    made = teacher.batch(slots)
    if not isinstance(made, BatchTeacher):
        raise TeacherConfigError(
            f"teacher {use!r}: batch({slots}) returned a {type(made).__name__}, which lacks one of version, "
            "slots, start, step and release. See docs/adding-a-teacher.md"
        )
    if made.version != teacher.version:
        raise TeacherConfigError(
            f"teacher {use!r}: its boxes have version {teacher.version}, and those of batch({slots}) {made.version}: "
            "raise both together"
        )
    return made


def validate(use: str, options: Mapping[str, object]) -> None:
    """Check a teacher's name and options without building it.

    Raises:
        TeacherConfigError: As `create` does, with every wrong option, its value, and the valid ones.
    """
    _checked(use, factory_of(use), options)


def completed_options(use: str, options: Mapping[str, object]) -> dict[str, object]:
    """A teacher's options with the paths of the checkpoints that it takes, where the user left these out.

    Raises:
        TeacherConfigError: As `create` does.
    """
    return checkpoints.completed(use, factory_of(use), options)


def version_of(use: str, options: Mapping[str, object]) -> int:
    """The version of a teacher's boxes, which stands beside them.

    Where what builds the teacher leaves it open (`version = None`), the teacher is built to say it: a tracker of a
    checkout, whose code is known when it is set up, or one that a function makes.

    Raises:
        TeacherConfigError: If there is no such teacher or it does not say; if it has to be built, as `create` does.
    """
    factory = factory_of(use)
    if getattr(factory, "version", 0) is None:
        return create(use, options).version
    return _checked_version(use, factory)


def _checked_version(use: str, holder: object) -> int:
    version = getattr(holder, "version", None)
    if not isinstance(version, int) or isinstance(version, bool):
        raise TeacherConfigError(
            f"teacher {use!r}: {holder!r} has version = {version!r}. Give it an attribute `version`, an "
            "integer that you raise whenever its boxes change"
        )
    return version


def source_of(use: str) -> Path | None:
    """The module's file of a `module:callable`; None of what has a name, whose `version` answers for its code.

    Raises:
        TeacherConfigError: If it cannot be imported.
    """
    if ":" not in use or external.is_external(use):
        return None
    _loaded(use)
    file = getattr(sys.modules[use.partition(":")[0]], "__file__", None)
    return Path(file) if file else None


def _checked(use: str, factory: Factory, options: Mapping[str, object]) -> dict[str, object]:
    return checked_options(
        use, factory, checkpoints.completed(use, factory, options), _remedy(use, factory, options)
    )


def _remedy(use: str, factory: Factory, options: Mapping[str, object]) -> str:
    """What to do where a file is missing: how the published ones are had, and what the catalogue says."""
    ways = [checkpoints.how_to_get(c) for c in checkpoints.serving(use, factory, options).values()]
    if external.is_external(use):
        ways.append(external.remedy(use))
    return ". ".join(filter(None, [*ways, BUILT_IN[use].remedy if use in BUILT_IN else ""]))


def _loaded(use: str) -> Factory:
    others = installed()
    if use not in BUILT_IN and use not in others and ":" not in use:
        near = difflib.get_close_matches(use, names(), n=3)
        meant = f"; did you mean {' or '.join(near)}?" if near else "."
        raise TeacherConfigError(
            f"there is no teacher {use!r}{meant} Known: {', '.join(names())}; or write module:callable"
        )
    try:
        found: Factory
        with at_home():
            if external.is_external(use):
                found = external.factory(use)
            elif use in BUILT_IN:
                found = BUILT_IN[use].load()
            else:
                found = adapted.factory(others[use].load() if use in others else load(use), use)
    except TeacherConfigError:
        raise
    except FAULTS as error:  # a third party's module, while it is imported
        missing = (
            isinstance(error, ModuleNotFoundError) and error.name == use.partition(":")[0].partition(".")[0]
        )
        where = (
            ". It is looked for in the working folder, on PYTHONPATH, and among what is installed"
            if missing
            else ""
        )
        raise TeacherConfigError(
            f"teacher {use!r} cannot be imported: {type(error).__name__}: {error}{where}"
        ) from error
    return found
