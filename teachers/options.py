"""A teacher's options: typed by its constructor's signature, checked before anything is built.

Whatever builds a teacher (a class, or a function that returns one) declares its options as ordinary
parameters with annotations and defaults. Values come from YAML or from a command line, so they are checked as
such: a path is written as a string, a tuple as a list, an integer may stand for a float, and nothing else is
converted.
"""

from __future__ import annotations

import difflib
import inspect
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import TypeAdapter, ValidationError

from datasets.strict_yaml import RepeatedKeyError, parse_yaml

Factory = Callable[..., Any]
"""Builds a teacher from its options, given by keyword."""


class TeacherConfigError(ValueError):
    """A teacher, or an option of one, is not what the user can have: the message says what she can."""


def parsed(options: Sequence[str]) -> dict[str, object]:
    """`key=value` strings as the mapping that params.yaml would hold.

    Raises:
        ValueError: If one has no `=` or a value that is not YAML, or two have one key.
    """
    values: dict[str, object] = {}
    for option in options:
        key, found, value = option.partition("=")
        if not found or not key:
            raise ValueError(f"option {option!r}: write key=value")
        if key in values:
            raise ValueError(f"option {option!r}: {key} is given twice; leave one of the two out")
        try:
            values[key] = parse_yaml(value)
        except RepeatedKeyError as error:
            raise ValueError(f"option {option!r}: {error.told}; leave one of the two out") from error
        except yaml.YAMLError as error:
            raise ValueError(f"option {option!r}: the value is not YAML; quote it") from error
    return values


def signature_of(use: str, factory: Callable[..., object]) -> inspect.Signature:
    """The signature of what builds a teacher, its annotations evaluated.

    Raises:
        TeacherConfigError: If it cannot be read.
    """
    try:
        return inspect.signature(factory, eval_str=True)
    except Exception as error:  # an annotation that is a string is evaluated, and may raise anything
        raise TeacherConfigError(
            f"teacher {use!r}: the signature of {factory!r} cannot be read ({type(error).__name__}: {error}). "
            "Its parameters are its options: annotate them with types that can be imported at run time"
        ) from error


def parameters_of(use: str, factory: Factory) -> dict[str, inspect.Parameter]:
    """The options that a teacher takes, in the order in which it declares them.

    Raises:
        TeacherConfigError: If the signature cannot be read.
    """
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in signature_of(use, factory).parameters.items() if p.kind in named}


def required(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Names of the options without a default."""
    return [name for name, p in parameters.items() if p.default is p.empty]


def takes_file(parameter: inspect.Parameter) -> bool:
    """Whether an option is, or may be, the path of a file (a bare `Path` may be anything's)."""
    return Path in _kinds(parameter) or "file" in _path_types(parameter)


def takes_path(parameter: inspect.Parameter) -> bool:
    """Whether an option is, or may be, the path of a file or a folder."""
    return takes_file(parameter) or "dir" in _path_types(parameter)


def _kinds(parameter: inspect.Parameter) -> tuple[object, ...]:
    return (parameter.annotation, *get_args(parameter.annotation))


def _path_types(parameter: inspect.Parameter) -> set[object]:
    markers = (marker for kind in _kinds(parameter) for marker in getattr(kind, "__metadata__", ()))
    return {getattr(marker, "path_type", None) for marker in markers}


def written(parameter: inspect.Parameter) -> str:
    """An option as documentation shows it: `padding: float = 3.0`."""
    typed = "" if parameter.annotation is parameter.empty else f": {_type_name(parameter)}"
    return f"{parameter.name}{typed}" + (
        "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    )


def checked_options(
    use: str, factory: Factory, options: Mapping[str, object], remedy: str = ""
) -> dict[str, object]:
    """Return the options converted to the types that the factory declares.

    Args:
        use: The teacher's name, for messages.
        factory: What builds it.
        options: Values as YAML gives them. Those left out keep the factory's defaults.
        remedy: What to do where a file or a required option is missing ("Download it from ...").

    Raises:
        TeacherConfigError: If an option is unknown, of another type, missing, or names a file that is not
            there; the message lists every such option with its value, and the valid ones.
    """
    parameters = parameters_of(use, factory)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(factory).parameters.values())
    complaints: list[str] = []
    needs_remedy = False
    values: dict[str, object] = {}
    for name, value in options.items():
        if name in parameters:
            try:
                values[name] = _converted(parameters[name], value)
            except ValidationError as error:
                needs_remedy |= any(detail["type"].startswith("path_") for detail in error.errors())
                found = "; ".join(detail["msg"][0].lower() + detail["msg"][1:] for detail in error.errors())
                complaints.append(
                    f"{name} = {value!r}: {found} (it is {_type_name(parameters[name])}){_meant(value)}"
                )
            except OSError as error:  # a name too long, a folder that may not be looked into
                needs_remedy = True
                complaints.append(f"{name} = {value!r}: it cannot be looked up ({error.strerror})")
        elif open_ended:
            values[name] = value
        else:
            near = difflib.get_close_matches(name, parameters, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            complaints.append(f"{name} = {value!r}: there is no such option{meant}")
    for name in required(parameters):
        if name not in options:
            needs_remedy = True
            complaints.append(f"{name} ({_type_name(parameters[name])}) has to be given")
    if complaints:
        valid = ", ".join(parameters) or "none"
        raise TeacherConfigError(
            f"teacher {use!r}: {'; '.join(complaints)}. "
            + (f"{remedy}. " if remedy and needs_remedy else "")
            + f"Options of {use}: {valid}"
        )
    return values


def _converted(parameter: inspect.Parameter, value: object) -> object:
    if parameter.annotation is parameter.empty:
        return value
    if takes_path(parameter) and isinstance(value, str) and value.startswith("~"):
        value = os.path.expanduser(value)  # noqa: PTH111  # which leaves what is nobody's as it is
    # Strict JSON is the conversions wanted: a string becomes a path, a list a tuple, but "3" no number.
    return TypeAdapter(parameter.annotation).validate_json(json.dumps(value, default=str), strict=True)


def _meant(value: object) -> str:
    """What to write for a number that YAML takes for text: one whose exponent has no sign, or no point before it."""
    parts = re.fullmatch(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)", value) if isinstance(value, str) else None
    if parts is None:
        return ""
    whole, fraction, sign, exponent = parts.groups()
    return f"; YAML takes {value} for text, so write {whole}{fraction or '.0'}e{sign or '+'}{exponent}"


def _type_name(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return "any value"
    kinds = (
        get_args(annotation) if isinstance(annotation, UnionType) or get_origin(annotation) is Union else ()
    )
    if type(None) in kinds and len(kinds) == 2:
        (kind,) = (kind for kind in kinds if kind is not type(None))
        return f"{_type_name(parameter.replace(annotation=kind))} or null"
    for marker in getattr(annotation, "__metadata__", ()):
        if getattr(marker, "path_type", None) in ("file", "dir"):
            return "the path of a file" if marker.path_type == "file" else "the path of a folder"
    return inspect.formatannotation(annotation).replace("pathlib._local.", "").replace("pathlib.", "")
