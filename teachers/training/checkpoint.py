"""What a killed training has left, read again: only a training of the same options goes on from it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from datasets.errors import DataError


def read_checkpoint(path: Path, options: Mapping[str, int | float | str]) -> dict[str, Any]:
    """Read what `torch.save` wrote: a dictionary whose "options" are those of the training that wrote it.

    Args:
        path: The file.
        options: Of the training that shall go on, those that what it learns is a function of.

    Returns:
        The dictionary, its tensors on the CPU.

    Raises:
        DataError: If there is no such file, it is damaged, or the options are others; the message names them.
    """
    if not path.is_file():
        raise DataError(path, "there is no checkpoint, hence no training to go on from", "Leave out --resume")
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the reader raise almost anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # forbidden, or a disk's error: the system names it; EINVAL is a seek to before a cut file's start
        problem = f"the checkpoint cannot be read ({type(error).__name__})"
        raise DataError(path, problem, "Begin anew, without --resume") from error
    if not isinstance(content, dict) or not isinstance(content.get("options"), dict):
        problem = "this is no checkpoint of this version: it does not say with which options it was made"
        raise DataError(path, problem, "Begin anew, without --resume")
    state: dict[str, Any] = content
    found = state["options"]
    if found != options:
        names = [name for name in {**found, **options} if found.get(name) != options.get(name)]
        differ = ", ".join(f"{name} {found.get(name)} instead of {options.get(name)}" for name in names)
        problem = f"the checkpoint is of a training with other options: {differ}"
        raise DataError(path, problem, "Give the same options, or leave out --resume")
    return state
