"""Published checkpoints: which there are (`checkpoints.toml`), where they lie, and which option each serves.

They lie in one folder: the environment variable `TEACHER_WEIGHTS`, or the user's cache folder where that is not
set. A file that was put there by hand counts as much as one that `python -m teachers fetch` brought.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from datasets.errors import DataError
from teachers.options import Factory, TeacherConfigError, parameters_of, required, takes_file

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "TEACHER_WEIGHTS"
"""Names the folder of checkpoints."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """One entry of `checkpoints.toml`, which describes the attributes.

    Attributes:
        name: What a user writes.
        file: Its name in the folder of checkpoints.
        page: Where its authors describe it.
        teacher, option: Whose option it serves.
        licence, paper: Of the weights.
        choose: With which other options of the teacher it is the default.
        address: Where it is downloaded from; None: by hand only.
        size: In bytes, where known.
        least: Bytes that its network's numbers take, where `size` is not known.
        sha256, git_blob: Checksums, where known.
    """

    name: str
    file: str
    page: str
    teacher: str
    option: str
    licence: str
    paper: str
    choose: Mapping[str, object] = field(default_factory=dict)
    address: str | None = None
    size: int | None = None
    least: int | None = None
    sha256: str | None = None
    git_blob: str | None = None

    def path(self, to: Path | None = None) -> Path:
        """Where it lies, or would: in the folder of checkpoints, or in another one."""
        return (to or folder()) / self.file

    def verify(self, path: Path) -> None:
        """Make sure that a file is this checkpoint, as far as size and checksums are known.

        Raises:
            DataError: If it is not; the message holds both values.
        """
        found = path.stat().st_size
        if self.size is not None and found != self.size:
            raise DataError(path, f"it has {found} bytes, and {self.name} has {self.size}", _another(self))
        if self.least is not None and found < self.least:
            raise DataError(
                path, f"it has {found} bytes, and {self.name} has more than {self.least}", _another(self)
            )
        for kind, wanted in (("sha256", self.sha256), ("git_blob", self.git_blob)):
            if wanted is not None and (actual := _digest(path, kind)) != wanted:
                raise DataError(
                    path, f"its {kind} is {actual}, and that of {self.name} is {wanted}", _another(self)
                )


def folder() -> Path:
    """The folder of checkpoints, which may not exist yet."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser()
    return platformdirs.user_cache_path("tracking-by-trackers") / "weights"


@functools.cache
def known(path: Path | None = None) -> Mapping[str, Checkpoint]:
    """All checkpoints by name, in the order of the file.

    Args:
        path: Another file of the same form; None: the project's own.

    Raises:
        DataError: If such a file is missing, is not TOML, or an entry lacks a key or has an unknown one.
    """
    source = path or Path(str(resources.files("teachers") / "checkpoints.toml"))
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
        return {name: Checkpoint(name=name, **entry) for name, entry in document.items()}
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise DataError(
            source, f"is no list of checkpoints ({error})", "Mend it as its first lines say"
        ) from error


def of_teacher(use: str) -> list[Checkpoint]:
    """The first checkpoint listed for each of a teacher's options."""
    first: dict[str, Checkpoint] = {}
    for checkpoint in known().values():
        if checkpoint.teacher == use:
            first.setdefault(checkpoint.option, checkpoint)
    return [*first.values()]


def serving(use: str, factory: Factory, options: Mapping[str, object]) -> dict[str, Checkpoint]:
    """The checkpoints that a teacher takes, by option, where the user names no file for it.

    Those are the ones of options that have no default; an option that has one, such as the project's own
    weights, keeps it unless the user chose (a variant, say) what only one checkpoint serves.

    Args:
        use: The teacher's name.
        factory: What builds it.
        options: Its options as the user wrote them.
    """
    parameters = parameters_of(use, factory)
    chosen: dict[str, Checkpoint] = {}
    for checkpoint in known().values():
        if checkpoint.teacher != use or checkpoint.option in options:
            continue
        if checkpoint.option in required(parameters):
            values: dict[str, Any] = {name: p.default for name, p in parameters.items()} | dict(options)
        elif checkpoint.choose:
            values = dict(options)
        else:
            continue
        if all(values.get(key) == value for key, value in checkpoint.choose.items()):
            chosen.setdefault(checkpoint.option, checkpoint)
    return chosen


def completed(use: str, factory: Factory, options: Mapping[str, object]) -> dict[str, object]:
    """Options with the files filled in that the folder of checkpoints has.

    An option that takes a file may name a checkpoint instead. One that is left out is filled in where the folder
    has the checkpoint that serves it, see `serving`.

    Args:
        use: The teacher's name.
        factory: What builds it.
        options: Values as YAML gives them.

    Raises:
        TeacherConfigError: If a checkpoint that is named is not there.
        DataError: If a file there is not the checkpoint that its name says.
    """
    parameters = parameters_of(use, factory)
    values = dict(options)
    for name, value in options.items():
        named = known().get(value) if isinstance(value, str) else None
        if (
            named is None
            or name not in parameters
            or not takes_file(parameters[name])
            or Path(named.name).exists()
        ):
            continue
        if not named.path().is_file():
            raise TeacherConfigError(
                f"teacher {use!r}: {name} = {value!r}: this checkpoint is not at {named.path()}. "
                f"{how_to_get(named)}"
            )
        values[name] = _verified(named)
    for name, checkpoint in serving(use, factory, options).items():
        if checkpoint.path().is_file():
            values[name] = _verified(checkpoint)
    return values


def how_to_get(checkpoint: Checkpoint, to: Path | None = None) -> str:
    """One sentence for a user who lacks it."""
    if checkpoint.address is None:
        return (
            f"Download {checkpoint.file} by hand from {checkpoint.page} and put it at {checkpoint.path(to)}"
        )
    return f"`python -m teachers fetch {checkpoint.name}` downloads it"


def _verified(checkpoint: Checkpoint) -> str:
    checkpoint.verify(checkpoint.path())
    return str(checkpoint.path())


def _digest(path: Path, kind: str) -> str:
    """The SHA-256 of a file, or git's id of it: the SHA-1 of a header and the file."""
    if kind == "sha256":
        h = hashlib.sha256()
    else:
        h = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            h.update(block)
    return h.hexdigest()


def _another(checkpoint: Checkpoint) -> str:
    return f"It is another file, or damaged: remove it. {how_to_get(checkpoint)}"
