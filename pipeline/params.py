"""params.yaml as a typed, validated record; an error names the file, the key, the value and the remedy."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from datasets.errors import DataError
from datasets.spec import KINDS
from datasets.strict_yaml import parse_yaml_file
from datasets.synthetic.options import SyntheticOptions
from datasets.transfer.format import MOST_TEACHERS
from pipeline import places

POOL_FILES = "P"
"""What files of the pool of all teachers are called, after the paper's T_P; tables call it `pipeline.table1.POOL`."""

Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
MOST = 2**63 - 1
"""What a whole number of a transfer set can hold."""

LONGEST_NAME = 100
"""Letters of a teacher's name: a file's name has room for 255, and gets β, an ending and a temporary one beside it."""

LONGEST = 100_000
"""Frames of a window, or between two: no video of these benchmarks is longer."""


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DatasetParams(Section):
    """The source videos: these three lines are what a user changes first."""

    kind: str = "synthetic"
    root: Path
    split: str | None = None
    exclude: Path | None = None
    """A text file of video names to leave out, one per line (VOT's 1,000 prohibited videos, for example)."""

    @field_validator("kind")
    @classmethod
    def _with_images(cls, kind: str) -> str:
        usable = [name for name in KINDS if name != "annotations"]
        if kind not in usable:
            raise ValueError(f"it has to be one of {', '.join(map(repr, usable))}")
        return kind

    @field_validator("exclude")
    @classmethod
    def _at_home(cls, exclude: Path | None) -> Path | None:
        try:
            return exclude and exclude.expanduser()
        except RuntimeError as error:  # ~NAME of nobody
            raise ValueError(f"{error} Write the path in full") from error

    @property
    def spec(self) -> str:
        """KIND:ROOT[:SPLIT], as the command lines spell it."""
        return f"{self.kind}:{self.root}" + (f":{self.split}" if self.split else "")


class TeacherParams(BaseModel):
    """One teacher of the pool: the tracker that it uses, and that tracker's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str
    """A name that `python -m teachers list` shows; the teacher's own name where it is left out."""

    @property
    def options(self) -> dict[str, Any]:
        """Everything but `use`."""
        return dict(self.model_extra or {})


class TrackParams(Section):
    """How far a teacher follows a video."""

    stop_below: Share | None = 0.5
    """Abandon a video at the first frame whose overlap is not above this: no β from here on can keep it any
    more. null tracks every video to its end. A β below it needs it lowered, and tracks again what it cut."""


class SelectParams(Section):
    """Which trajectories are kept, and which windows are cut from them (paper, Section 4.1)."""

    betas: tuple[Share, ...] = (0.5, 0.6, 0.7, 0.8, 0.9)
    absent: Literal["fail", "ignore"] = "fail"
    """Whether a frame without the target fails the trajectory (the literal reading) or does not count."""
    window_length: int = Field(32, strict=True, ge=2, le=LONGEST)
    window_stride: int = Field(10, strict=True, ge=1, le=LONGEST)
    windows_per_video: int = Field(5, strict=True, ge=1, le=MOST)
    seed: int = Field(0, strict=True, ge=0, le=MOST)

    @field_validator("betas")
    @classmethod
    def _distinct_and_rising(cls, betas: tuple[float, ...]) -> tuple[float, ...]:
        if not betas:
            raise ValueError("at least one β is needed")
        if list(betas) != sorted(set(betas)):
            raise ValueError("write each β once, the smallest first")
        # The names of files and of metrics hold six digits of it.
        written = [f"{beta:g}" for beta in betas]
        if len(set(written)) < len(written):
            twice = next(text for text in written if written.count(text) > 1)
            raise ValueError(f"two β are both written {twice}: their transfer sets would have one name")
        return betas


class PackParams(Section):
    """How the pixels of the windows are kept; see docs/transfer-set-format.md."""

    pixels: Literal["region", "source"] = "region"
    window_scale: float = Field(2.6, strict=True, ge=1.5, allow_inf_nan=False)
    """Side of the kept region in sides of the target; the student sees 1.5."""
    oversampling: float = Field(1.125, strict=True, gt=0, allow_inf_nan=False)
    """Kept pixels per pixel that the student sees."""
    quality: int = Field(85, strict=True, ge=1, le=100)
    """JPEG quality of `region`; `source` keeps the source files' own bytes."""


class JobQueueParams(Section):
    """Workers on a cluster's job queue, through dask-jobqueue (`pip install .[cluster]`)."""

    cluster: str
    """A class of `dask_jobqueue`: SLURMCluster, PBSCluster, SGECluster, LSFCluster, HTCondorCluster ..."""
    jobs: int = Field(strict=True, ge=1)
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of that class: queue, cores, memory, walltime ..."""


class ExecutorParams(Section):
    """Where the work of a stage is done; no output depends on it, so changing it re-runs nothing."""

    workers: int | None = Field(None, strict=True, ge=1)
    """Local worker processes; null: one per core. 1 works in the stage's own process."""
    slots: dict[str, Annotated[int, Field(strict=True, ge=1)]] = Field(default_factory=dict)
    """Teacher to videos that one worker tracks at once, for teachers that can. Left out: 1 on the CPU, and on a GPU
    64 for all its workers together (fewer where its memory does not suffice)."""
    devices: tuple[Annotated[str, Field(pattern=r"^[a-z]+:\d+$")], ...] | None = Field(None, min_length=1)
    """GPUs for teachers whose option `device` is cuda, one local worker each; null: all that are visible, each as often
    as there are four cores for it, four times at most (once for eco-deep)."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, tcp://host:8786, whose workers see the same folders."""
    job_queue: JobQueueParams | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.scheduler and self.job_queue:
            raise ValueError("give a scheduler or a job_queue, not both")
        return self


class Params(Section):
    """All of params.yaml."""

    dataset: DatasetParams
    synthetic: SyntheticOptions = SyntheticOptions()
    """The procedural videos that `kind: synthetic` makes when `root` does not hold them yet."""
    teachers: dict[str, TeacherParams] = Field(min_length=1)
    track: TrackParams = TrackParams.model_validate({})
    select: SelectParams = SelectParams.model_validate({})
    pack: PackParams = PackParams.model_validate({})
    executor: ExecutorParams = ExecutorParams.model_validate({})

    @field_validator("teachers", mode="before")
    @classmethod
    def _named(cls, teachers: object) -> object:
        if not isinstance(teachers, dict):
            raise ValueError("this is a mapping from a teacher's name to its options ({} for none)")  # noqa: TRY004
        if len(teachers) > MOST_TEACHERS:
            raise ValueError(
                f"these are {len(teachers)}, and a transfer set counts to {MOST_TEACHERS}: name fewer"
            )
        for name in teachers:
            if not isinstance(name, str):
                raise ValueError(f"{name!r} is no text to YAML: put the teacher's name in quotes")  # noqa: TRY004
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]*", name):
                raise ValueError(
                    f"{name!r} names files: use letters, digits, '_', '+' and '-', and the option use for the tracker"
                )
            if len(name) > LONGEST_NAME:
                raise ValueError(
                    f"{name[:20] + '...'!r} has {len(name)} letters: it names files, so use at most {LONGEST_NAME}"
                )
            if name in (POOL_FILES, "pool"):
                raise ValueError(f"{name!r} is the name of the pool of all teachers: choose another")
            options = teachers[name]
            if options is not None and not isinstance(options, dict):
                raise ValueError(f"{name}: {options!r} is no mapping of options: write {name}: {{}} for none")
        return {name: {"use": name, **(options or {})} for name, options in teachers.items()}

    @model_validator(mode="after")
    def _slots_are_of_teachers(self) -> Self:
        if unknown := sorted(set(self.executor.slots) - set(self.teachers)):
            raise ValueError(
                f"executor.slots names {', '.join(unknown)}, and the teachers are {', '.join(self.teachers)}"
            )
        return self

    @model_validator(mode="after")
    def _betas_are_tracked(self) -> Self:
        lowest, stop = min(self.select.betas), self.track.stop_below
        if stop is not None and lowest < stop:
            raise ValueError(
                f"select.betas asks for β = {lowest:g}, but track.stop_below = {stop:g} abandons videos above that: "
                f"set track.stop_below to {lowest:g} or less"
            )
        return self


def read_params(path: Path = places.PARAMS) -> Params:
    """Read and check params.yaml.

    Raises:
        DataError: If it is missing, is not YAML, has a key twice, or holds a key or value that is not allowed; the
            message lists every offending key with its value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(path, f"is not UTF-8 text ({error})", "Save it as UTF-8") from error
    except OSError as error:
        raise DataError(
            path, f"cannot be read ({error})", "Run from the folder that holds params.yaml"
        ) from error
    document = parse_yaml_file(text, path, "Mend the syntax of that line")
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise DataError(path, complaints(error), "Compare with the comments in params.yaml") from error


def complaints(error: ValidationError) -> str:
    """One clause per offending key: its dotted name, its value, what is wrong, what may have been meant."""
    clauses = []
    for detail in error.errors():
        key = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(detail["loc"][-1]), _allowed(detail["loc"][:-1]), n=1)
            message = "there is no such key" + (f"; did you mean {near[0]}?" if near else "")
        value = "" if detail["type"] == "missing" or not detail["loc"] else f" = {detail['input']!r}"
        # Of several keys at odds the message names them.
        clauses.append(f"{key}{value}: {message}" if key else message)
    return "; ".join(clauses)


def _allowed(section: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at this place of params.yaml may hold."""
    model: type[BaseModel] = Params
    for part in section:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
