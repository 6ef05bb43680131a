"""Teachers that a tracker has beside it (TRAST, TRASFUST), as a user names them.

In YAML a mapping as in params.yaml: each name has options, and `use` where the teacher is called otherwise. On a
command line one string per teacher:

    kcf                                          a teacher of the registry
    nano,backbone=b.onnx,neckhead=h.onnx         with options, values as YAML has them
    recorded:/results/GOT-10k/MDNet              boxes that a tracker wrote: its folder
    recorded:/results/OTB100/ECO,kind=otb        with options of `recorded`
    fast=kcf,padding=2                           under a name of its own
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from teachers import registry
from teachers.base import Teacher
from teachers.options import TeacherConfigError, parsed

Named = Mapping[str, Mapping[str, Any]]
"""Names to options, with `use` among them where it is not the name."""

_RECORDED = "recorded"
_NAME = re.compile(r"([^=,:/\\]+)=(.+)", re.DOTALL)


def named(teachers: Sequence[str] | Named, kind: str | None = None) -> dict[str, dict[str, Any]]:
    """All teachers in YAML's form.

    Args:
        teachers: In either form.
        kind: The kind of dataset that recordings are of, unless they say so themselves.

    Raises:
        TeacherConfigError: If a teacher is in no such form, or two have one name.
    """
    if isinstance(teachers, Mapping):
        pairs = [_taken(name, options) for name, options in teachers.items()]
    elif isinstance(teachers, Sequence) and not isinstance(teachers, str):
        pairs = [_read(text) for text in teachers]
    else:
        raise TeacherConfigError(
            f"teachers {teachers!r}: write a list [kcf, eco], or a mapping {{NAME: {{use: kcf}}}}"
        )
    names = [name for name, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise TeacherConfigError(
            f"two teachers are called {' and '.join(sorted(twice))}: write NAME={sorted(twice)[0]} for one of them"
        )
    return {name: _of_kind(name, options, kind) for name, options in pairs}


def beside(options: Mapping[str, Any], kind: str | None = None) -> dict[str, dict[str, Any]]:
    """The teachers that a tracker of these options has beside it, in YAML's form; most have none.

    Raises:
        TeacherConfigError: See `named`.
    """
    given = options.get("teachers") or options.get("teacher")
    if not given:
        return {}
    return named([given] if isinstance(given, str) else given, kind)


def of_dataset(use: str, options: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A teacher's options, with recordings, itself or beside it, told of which kind of dataset they are.

    Args:
        use: The teacher, as the registry knows it.
        options: In YAML's form.
        kind: Of the dataset; a recording that says one, or the base of its boxes, keeps that.

    Raises:
        TeacherConfigError: See `named`.
    """
    told = _of_kind(use, dict(options), kind)
    for key in ("teacher", "teachers"):
        if told.get(key) and registry.has_teachers(use):
            told[key] = beside({key: told[key]}, kind)
    return told


def parts(use: str, options: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What a tracker is made of: itself, and the teachers beside it; each as the registry takes it.

    Raises:
        TeacherConfigError: See `named`.
    """
    others = beside(options).items() if registry.has_teachers(use) else ()
    return [(use, options), *((str(own.pop("use", name)), own) for name, own in others)]


def create(teachers: Sequence[str] | Named, kind: str | None = None) -> dict[str, Teacher]:
    """Build teachers, by their names.

    Raises:
        TeacherConfigError: See `named` and `teachers.registry.create`.
        DataError: If there are no such results.
    """
    built = {}
    for name, options in named(teachers, kind).items():
        use = options.pop("use", name)
        built[name] = registry.create(str(use), options)
    return built


def version_beside(own: int, teachers: Mapping[str, Teacher]) -> int:
    """The version of a tracker's boxes (see `Teacher.version`), of which the teachers beside it are a part.

    Args:
        own: The tracker's own.
        teachers: As `create` builds them.

    Returns:
        An integer in [0, 2**48).
    """
    parts = [str(own), *(f"{name} {teacher.version}" for name, teacher in teachers.items())]
    return int.from_bytes(blake3("\0".join(parts).encode()).digest(6), "little")


def _taken(name: str, options: object) -> tuple[str, dict[str, Any]]:
    if not isinstance(options, Mapping):
        raise TeacherConfigError(
            f"teacher {name}: its options are {options!r}. Write {name}: {{use: kcf, option: value}}, or {name}: {{}}"
        )
    return str(name), {str(key): value for key, value in options.items()}


def _of_kind(name: str, options: dict[str, Any], kind: str | None) -> dict[str, Any]:
    """Say which kind of dataset a recording is of, where the user does not: its boxes may be 1-based."""
    silent = options.get("use", name) == _RECORDED and options.get("kind") is None
    return {**options, "kind": kind} if silent and kind is not None else options


def _read(text: object) -> tuple[str, dict[str, Any]]:
    if not isinstance(text, str):
        raise TeacherConfigError(
            f"teacher {text!r}: write NAME,key=value, or a mapping {{NAME: {{use: kcf}}}}"
        )
    match = _NAME.fullmatch(text)
    name, rest = (match[1], match[2]) if match else ("", text)
    use, *options = rest.split(",")
    try:
        values = parsed(options)
    except ValueError as error:
        raise TeacherConfigError(f"teacher {text!r}: {error}; write NAME,key=value,key=value") from error
    if not use.startswith(f"{_RECORDED}:"):
        return name or use, {"use": use, **values}
    folder = Path(use.removeprefix(f"{_RECORDED}:"))
    if not folder.name or folder.parent == folder:
        raise TeacherConfigError(f"teacher {text!r}: write recorded:RESULTS/TRACKER")
    recorded = {"use": _RECORDED, "results": str(folder.parent), "tracker": folder.name}
    return name or folder.name, {**recorded, **values}
