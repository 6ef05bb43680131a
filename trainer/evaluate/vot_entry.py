"""Any tracker inside the official VOT toolkit, over TraX, the toolkit's own protocol.

Needs `pip install vot-trax` beside this project; the toolkit itself may live in another environment. See
docs/evaluation.md for a workspace from beginning to end.

    python -m trainer.evaluate.vot_entry ini --tracker tras --weights runs/first/best.safetensors --out workspace
    cd workspace && vot evaluate tras

The toolkit gives paths of images and the first region, and gets a rectangle per frame. Coordinates are passed on as
they are written, as `datasets.vot` takes them.
"""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tyro.conf import Positional

from datasets.atomic import appearing
from datasets.boxes import as_boxes, enclosing
from datasets.command_line import run_command
from datasets.errors import DataError
from datasets.images import read_image
from datasets.rows import read_bytes
from teachers.base import Box, Task, Teacher, checked_box
from trainer.evaluate.tracker_spec import Defaults, TrackerSpec, parse_trackers, read_trackers

PROGRAM = "python -m trainer.evaluate.vot_entry"

LONGEST = 1_000_000
"""What a tracker is told of a sequence's length, which TraX does not know before its end."""

PATIENCE = 600
"""Seconds that the toolkit waits for an answer: the first one includes loading networks."""


@dataclass(frozen=True)
class Ini:
    """Write what the VOT toolkit needs to run trackers: trackers.ini and a description of each.

    Example:
        python -m trainer.evaluate.vot_entry ini --tracker kcf mosse --out workspace
    """

    out: Path
    """The toolkit's workspace; trackers.ini is written into it."""
    tracker: tuple[str, ...] = ()
    """Trackers, as for python -m trainer.evaluate."""
    trackers: Path | None = None
    """A YAML file of trackers, as for python -m trainer.evaluate."""
    teachers: tuple[str, ...] = ()
    """Teachers beside the student in trast and trasfust; they have to be live ones."""
    weights: Path | None = None
    """The student's weights."""

    def run(self) -> int:
        """Write the files."""
        defaults = Defaults(self.weights, self.teachers, "vot")
        specs = parse_trackers(self.tracker, defaults)
        specs += [] if self.trackers is None else read_trackers(self.trackers, defaults)
        if not specs:
            raise ValueError("give --tracker NAME")
        for spec in specs:
            spec.check()  # says what is wrong now, not from inside the toolkit
        print(write_trackers_ini(self.out, specs))
        return 0


@dataclass(frozen=True)
class Serve:
    """Track what the VOT toolkit asks for; the toolkit runs this, as trackers.ini says.

    Example:
        python -m trainer.evaluate.vot_entry serve workspace/trackers/kcf.json
    """

    description: Positional[Path]
    """A tracker, as `ini` described it."""

    def run(self) -> int:
        """Answer until the toolkit has had enough."""
        try:
            trax = importlib.import_module("trax")
        except ImportError as error:
            raise ValueError("TraX is not installed here: pip install vot-trax") from error
        serve(trax, read_description(self.description))
        return 0


def write_trackers_ini(folder: Path, specs: list[TrackerSpec]) -> Path:
    """Write FOLDER/trackers.ini and FOLDER/trackers/NAME.json for each tracker.

    Files and folders named in a tracker's options become absolute: the toolkit runs trackers in a folder of its own.

    Returns:
        The path of trackers.ini.
    """
    ini = ConfigParser(interpolation=None)
    for spec in specs:
        description = folder.resolve() / "trackers" / f"{spec.name}.json"
        content = {"name": spec.name, "use": spec.use, "options": _absolute(spec.options)}
        with appearing(description) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
        ini[spec.name] = {
            "label": spec.name,
            "protocol": "trax",
            "command": shlex.join(
                [sys.executable, "-m", "trainer.evaluate.vot_entry", "serve", str(description)]
            ),
            "timeout": str(PATIENCE),
        }
    path = folder / "trackers.ini"
    with appearing(path) as temporary, temporary.open("w") as file:
        ini.write(file)
    return path


def read_description(path: Path) -> TrackerSpec:
    """Read what `write_trackers_ini` wrote.

    Raises:
        DataError: If it is not that.
    """
    try:
        content = json.loads(read_bytes(path))
        return TrackerSpec(content["name"], content["use"], content["options"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        problem = f"this is no tracker's description ({type(error).__name__}: {error})"
        raise DataError(path, problem, f"Write it with `{PROGRAM} ini`") from error


def serve(trax: Any, spec: TrackerSpec) -> None:  # noqa: ANN401 - the module, which has no types
    """Answer a TraX client: start the tracker where it asks, then give a rectangle per frame.

    Args:
        trax: The module of the package vot-trax.
        spec: The tracker.
    """
    tracker: Teacher | None = None
    with trax.Server(
        [trax.Region.RECTANGLE, trax.Region.POLYGON], [trax.Image.PATH], tracker_name=spec.name
    ) as server:
        while (request := server.wait()).type not in (trax.TraxStatus.QUIT, trax.TraxStatus.ERROR):
            path = Path(request.image["color"].path())
            if tracker is None:
                tracker = spec.build()  # after the handshake, for which the toolkit waits less
            image = read_image(path) if tracker.needs_images else None
            if request.type == trax.TraxStatus.INITIALIZE:
                ((region, _),) = request.objects
                box = tracker.start(image, box_around(region), Task(sequence_name(path), LONGEST))
            else:
                box = tracker.track(image)
            x, y, w, h = checked_box(box, str(path)).tolist()
            server.status([(trax.Rectangle.create(x, y, w, h), {})])


def box_around(region: Any) -> Box:  # noqa: ANN401 - TraX's, which has no types
    """The box of a TraX rectangle, or around a TraX polygon."""
    if region.type == "polygon":
        return as_boxes(enclosing(np.array([corner for point in region for corner in point])))
    return as_boxes(region.bounds())


def sequence_name(image: Path) -> str:
    """The sequence that an image belongs to, for random seeds: SEQUENCE/color/00000001.jpg."""
    folder = image.parent
    return folder.parent.name if folder.name in {"color", "img"} else folder.name


def _absolute(options: Mapping[str, Any]) -> dict[str, Any]:
    def resolved(value: Any) -> Any:  # noqa: ANN401 - YAML
        if isinstance(value, str) and Path(value).exists():
            return str(Path(value).resolve())
        if isinstance(value, Mapping):  # a teacher's name stays one, even where a folder is called the same
            return {key: inner if key == "use" else resolved(inner) for key, inner in value.items()}
        return [resolved(inner) for inner in value] if isinstance(value, list) else value

    return {key: resolved(value) for key, value in options.items()}


if __name__ == "__main__":
    sys.exit(
        run_command(
            {"ini": Ini, "serve": Serve}, PROGRAM, "Any tracker inside the official VOT toolkit, over TraX."
        )
    )
