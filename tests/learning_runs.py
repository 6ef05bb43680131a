"""Quick runs of a small student, for the tests of learning: options, a learner, what a run left."""

import os
import sys

import torch
from conftest import REPOSITORY

from trainer.episodes import Reader
from trainer.first_student import first_student
from trainer.interactions import Interactions
from trainer.learner import Learner
from trainer.options import (
    RECIPES,
    CurriculumOptions,
    LogOptions,
    MachineOptions,
    OptimiserOptions,
    TrainOptions,
    ValidationOptions,
)
from trainer.processes import Processes
from trainer.student import StudentOptions, load_student

torch.set_num_threads(1)
CPU = torch.device("cpu")
TINY = StudentOptions(backbone="tiny", width=8, crop_size=32)


def run_options(**changes):
    """A run of a few quick updates."""
    values = {
        "students": 4,
        "segment": 2,
        "imagenet": "none",
        "student": TINY,
        "curriculum": CurriculumOptions(start=1, episodes=1, success=0.0),
        "optimiser": OptimiserOptions(learning_rate=1e-2, scaling="none", updates=8),
        "validation": ValidationOptions(share=0.4, every=3, patience=None),
        "machine": MachineOptions(device="cpu", readers=1),
        "log": LogOptions(every=4, checkpoint=2),
    }
    return TrainOptions(**{**values, **changes})


def made(windows, options):
    """A learner with its interactions, as a run makes them."""
    numbers = list(range(options.students))
    student = first_student(options)
    reader = Reader(options, windows, CPU)
    grows = [RECIPES[options.recipe].grows(n) for n in numbers]
    now = Interactions(options, reader, numbers, windows.length, options.student.width, grows, CPU)
    now.begin()
    return Learner(student, now, numbers, options, Processes(0, 1, CPU)), now


def weights(out, name="last.safetensors"):
    return load_student(out / name).state_dict()


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def command(sample, out, updates=8, **changes):
    """What `run_options` says, for a process of its own; changes as `log__every=1`."""
    words = [sys.executable, "-m", "trainer", "--data", str(sample), "--out", str(out)]
    for name, value in {
        "students": 4,
        "segment": 2,
        "imagenet": "none",
        "student.backbone": "tiny",
        "student.width": 8,
        "student.crop-size": 32,
        "curriculum.start": 1,
        "curriculum.episodes": 1,
        "curriculum.success": 0,
        "optimiser.learning-rate": 1e-2,
        "optimiser.scaling": "none",
        "optimiser.updates": updates,
        "validation.share": 0.4,
        "validation.every": 3,
        "validation.patience": None,
        "machine.device": "cpu",
        "machine.threads": 1,
        "log.every": 4,
        "log.checkpoint": 2,
        **{name.replace("__", "."): value for name, value in changes.items()},
    }.items():
        words += [f"--{name}", str(value)]
    return words


def surroundings(**more):
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **more}
