"""The student that a run begins with: random weights, ImageNet's, or those of another run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from trainer.backbones import load_imagenet
from trainer.options import TrainOptions
from trainer.student import Student, StudentOptions, load_student


def first_student(options: TrainOptions, fresh: bool = True) -> Student:
    """The student before its first update, on the CPU.

    Args:
        options: Of the run.
        fresh: Load what the options name; otherwise its values do not matter, for a checkpoint replaces them.

    Raises:
        ValueError: If the weights named belong to a student of another shape.
        DataError: If a file of weights is missing, damaged or another network's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        student = Student(options.student)
    if not fresh:
        return student
    if options.init is not None:
        student = load_student(options.init)
        if student.options != options.student:
            raise ValueError(
                f"init: {options.init} holds a student of {_differing(student.options, options.student)}, not of "
                f"{_differing(options.student, student.options)}: give these options as it has them"
            )
    elif isinstance(options.imagenet, Path):
        load_imagenet(student.backbone, options.imagenet)
    elif options.imagenet == "download" and options.student.backbone == "resnet18":
        load_imagenet(student.backbone)
    return student


def _differing(options: StudentOptions, other: StudentOptions) -> str:
    """What one student has that the other has not, as options of the command line."""
    own = set(asdict(options).items()) - set(asdict(other).items())
    return " ".join(f"--student.{name.replace('_', '-')} {value}" for name, value in sorted(own))
