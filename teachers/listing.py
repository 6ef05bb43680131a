"""What a listing says of each teacher: `python -m teachers list`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from teachers import checkpoints, registry
from teachers.options import TeacherConfigError, parameters_of, required, written

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Description:
    """What a listing says of one teacher.

    Attributes:
        name: What a user writes.
        what: One line.
        reference: The paper or project, "" where nobody says.
        licence: Of the code and of published weights, "" where nobody says.
        origin: "built in", or the package that gives it.
        needs: Options that have to be given.
        problem: Why it cannot run here whatever the options, "" if it can.
        options: Each as `name: type = default`; empty unless they were asked for.
    """

    name: str
    what: str
    reference: str
    licence: str
    origin: str
    needs: tuple[str, ...] = ()
    problem: str = ""
    options: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`ready`, what has to be given, or why it cannot run."""
        return self.problem or (f"needs {', '.join(self.needs)}" if self.needs else "ready")


def describe(only: Sequence[str] = (), options: bool = False) -> list[Description]:
    """What there is; a teacher that cannot be imported is listed with the reason.

    Args:
        only: Names or `module:callable` paths; all named teachers if empty.
        options: Whether to read the options too, which imports every teacher listed.

    Raises:
        TeacherConfigError: If one of `only` is unknown.
    """
    hidden = (
        []
        if only
        else [
            _hidden(point) for point in entry_points(group=registry.GROUP) if point.name in registry.BUILT_IN
        ]
    )
    return [*(_describe(use, options) for use in only or registry.names()), *hidden]


def _describe(use: str, options: bool) -> Description:
    entry = registry.BUILT_IN.get(use)
    point = registry.installed().get(use)
    problem, parameters, what = "", {}, ""
    if entry is None or entry.light or options:
        try:
            factory = registry.factory_of(use)
            parameters = parameters_of(use, factory)
            what = str(factory.__doc__ or "").strip().partition("\n")[0]
        except TeacherConfigError as error:
            if entry is None and point is None and ":" not in use:
                raise
            problem = str(error).removeprefix(f"teacher {use!r}").removeprefix(":").strip()
    listed = tuple(written(p) for p in parameters.values()) if options else ()
    if entry is not None:
        there = {c.option for c in checkpoints.known().values() if c.teacher == use and c.path().is_file()}
        needs = tuple(option for option in entry.needs if option not in there)
        return Description(
            use, entry.what, entry.reference, entry.licence, "built in", needs, problem, listed
        )
    licence, reference, origin = _package(point) if point is not None else ("", "", use.partition(":")[0])
    return Description(use, what, reference, licence, origin, tuple(required(parameters)), problem, listed)


def _hidden(point: EntryPoint) -> Description:
    """An installed teacher that cannot have the name that it wants."""
    licence, reference, origin = _package(point)
    problem = f"the name {point.name} is taken by a built-in teacher: write {point.value} to use this one"
    return Description(point.name, "", reference, licence, origin, problem=problem)


def _package(point: EntryPoint) -> tuple[str, str, str]:
    """Licence, home page, and name with version of the package that an entry point belongs to."""
    if point.dist is None:
        return "", "", point.module
    metadata = point.dist.metadata

    def first(*keys: str) -> str:
        return next((metadata[key] for key in keys if key in metadata), "")

    licence, home = first("License-Expression", "License"), first("Home-page")
    return licence, home, f"{metadata['Name']} {metadata['Version']}"
