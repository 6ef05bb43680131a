"""The options of OpenCV's trackers, as the installed version has them: names, types and defaults."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import cv2
import yaml
from pydantic import FilePath

from datasets.strict_yaml import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL_FILES = (".onnx", ".prototxt", ".caffemodel")


def find(path: str) -> Any:  # noqa: ANN401 - a class or function of cv2, or None
    """Look up `TrackerCSRT_create` or `legacy.TrackerMOSSE_create` in cv2; None where it has none."""
    found: Any = cv2
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def read_defaults(constructor: str) -> dict[str, Any]:
    """The options of one of OpenCV's trackers and their defaults, as the installed version has them."""
    if (record := find(f"{constructor}_Params")) is not None:
        values = record()
        return {name: getattr(values, name) for name in dir(values) if not name.startswith("_")}
    storage = cv2.FileStorage("memory.yml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    find(f"{constructor}_create")().write(storage)
    # The first line, "%YAML:1.0" in OpenCV 4, is no directive of YAML's.
    return parse_yaml(storage.releaseAndGetString().partition("\n")[2]) or {}


def created(constructor: str, defaults: Mapping[str, Any], options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Make one of OpenCV's trackers with these options; the others keep their defaults."""
    create = find(f"{constructor}_create")
    if not options:
        return create()
    if (record := find(f"{constructor}_Params")) is not None:
        values = record()
        for name, value in options.items():
            setattr(values, name, value)
        return create(values)
    # A legacy tracker takes its parameters from a file, and takes a parameter that is not there as zero.
    # It reads YAML's lists between brackets only.
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in {**defaults, **options}.items()}
    text = "%YAML:1.0\n---\n" + yaml.safe_dump(values, default_flow_style=None)
    tracker = create()
    storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    tracker.read(storage.root())  # a node dies with its storage, so that has to have a name
    return tracker


def model_files(defaults: Mapping[str, Any]) -> list[str]:
    """Names of the options that are files of a network."""
    return [name for name, value in defaults.items() if str(value).endswith(MODEL_FILES)]


def parameter(name: str, default: Any) -> inspect.Parameter:  # noqa: ANN401 - of any option type
    """One option of OpenCV's as a parameter: its type is its default's, and a file has to be given."""
    kind = inspect.Parameter.KEYWORD_ONLY
    if str(default).endswith(MODEL_FILES):
        return inspect.Parameter(name, kind, annotation=FilePath)
    if isinstance(default, tuple | list):
        item: Any = type(default[0])
        return inspect.Parameter(name, kind, annotation=tuple[item, ...], default=tuple(default))
    return inspect.Parameter(name, kind, annotation=type(default), default=default)
