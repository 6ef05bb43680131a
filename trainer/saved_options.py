"""A run's options as JSON, and what may change when it is resumed."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from datasets.atomic import appearing
from datasets.errors import DataError
from trainer.options import TrainOptions

_OTHER_VERSION = "Resume with the version that began the run"

FREE = ("optimiser.minutes", "machine", "log", "validation.patience", "validation.videos")
"""May differ between a run and its resumption: no weight depends on them (but see `MachineOptions`), nor on where the
videos lie, which have to be the same."""

MORE = "optimiser.updates"
"""May differ as well, where the learning rate does not depend on how many updates there will be."""


def as_json(options: object) -> Any:  # noqa: ANN401  # whatever JSON holds
    """Options as what JSON can hold: nested dictionaries, paths as text."""
    if is_dataclass(options):
        return {f.name: as_json(getattr(options, f.name)) for f in fields(options)}
    return str(options) if isinstance(options, Path) else options


def write_options(path: Path, options: TrainOptions, sets: Sequence[str]) -> None:
    """Write a run's options, and the fingerprints of the sets that it learns from, as JSON.

    Raises:
        DataError: If the disk is full or cannot be written.
    """
    content = {"sets": list(sets), "options": as_json(options)}
    with appearing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def from_json(content: object, path: Path) -> TrainOptions:
    """The options that `as_json` made.

    Raises:
        DataError: If they are those of another version.
    """
    try:
        options: TrainOptions = TypeAdapter(TrainOptions).validate_python(content)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        problem = f"its options are not those of this version ({said})"
        raise DataError(path, problem, _OTHER_VERSION) from error
    if unknown := _unknown(content, as_json(options), ""):
        problem = f"it was learnt with options that this version does not have ({', '.join(unknown)})"
        raise DataError(path, problem, _OTHER_VERSION)
    return options


def _unknown(content: Any, known: Any, prefix: str) -> list[str]:  # noqa: ANN401  # JSON
    """Names in `content`, nested as `known`, that it does not have."""
    names: list[str] = []
    for key, value in content.items():
        if key not in known:
            names.append(f"{prefix}{key}")
        elif isinstance(known[key], dict):
            names += _unknown(value, known[key], f"{prefix}{key}.")
    return names


def resumed(stored: TrainOptions, given: TrainOptions, named: Collection[str] = ()) -> TrainOptions:
    """A run's options when it is resumed: as stored, but for those that may change and are given.

    Args:
        stored: Of the run so far.
        given: Of the resumption; what is at its default counts as not given,
        named: but for these, such as `optimiser.updates`.

    Raises:
        ValueError: If an option is given that cannot change; names it.
    """
    free = (*FREE, MORE) if stored.optimiser.decay == "none" else FREE
    changed: list[str] = []
    merged: TrainOptions = _merge(stored, given, TrainOptions(), "", free, changed, named)
    if changed:
        raise ValueError(
            f"a resumed run keeps its options, but these are given anew: {'; '.join(changed)}. "
            f"Leave them away, or begin a new run; only {', '.join(free)} may change"
        )
    return merged


def _merge(
    stored: Any,  # noqa: ANN401
    given: Any,  # noqa: ANN401
    default: Any,  # noqa: ANN401
    prefix: str,
    free: tuple[str, ...],
    changed: list[str],
    named: Collection[str],
) -> Any:  # noqa: ANN401  # any of the groups of options
    values = {}
    for f in fields(stored):
        name = prefix + f.name
        old, new, usual = (getattr(options, f.name) for options in (stored, given, default))
        if is_dataclass(old):
            old = _merge(old, new, usual, f"{name}.", free, changed, named)
        elif (new != usual or name in named) and new != old:
            if name in free or prefix.rstrip(".") in free:
                old = new
            else:
                changed.append(f"{name} {as_json(old)} -> {as_json(new)}")
        elif name == "optimiser.minutes":  # the time that is over does not bind the resumption
            old = new
        values[f.name] = old
    return replace(stored, **values)
