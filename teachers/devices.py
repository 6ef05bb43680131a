"""Where a teacher's network runs and on how many threads, as users write it in options."""

from __future__ import annotations

import torch

from teachers.options import TeacherConfigError


def usable(teacher: str, device: str) -> torch.device:
    """The device of that name.

    Args:
        teacher: The teacher's name, for the message.
        device: "cpu", "cuda", "cuda:1" ...

    Raises:
        TeacherConfigError: If there is none here that can compute.
    """
    try:
        torch.zeros(1, device=device).item()  # "meta" can be made, and not be read
    except torch.OutOfMemoryError:  # it is there, and others fill it
        raise
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise TeacherConfigError(
            f"{teacher}: device = {device!r} cannot be used here: {reason}. Give cpu, cuda, cuda:1 and so on"
        ) from error
    return torch.device(device)


def use_threads(teacher: str, threads: int) -> None:
    """Set PyTorch's threads for the whole process.

    Args:
        teacher: The teacher's name, for the message.
        threads: How many; 0 leaves PyTorch's setting alone.

    Raises:
        TeacherConfigError: If it is negative.
    """
    if threads < 0:
        raise TeacherConfigError(
            f"{teacher}: threads = {threads}: give a number of threads, or 0 to leave PyTorch's setting alone"
        )
    if threads:
        torch.set_num_threads(threads)
