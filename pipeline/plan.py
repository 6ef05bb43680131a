"""Whether a teacher is run one video at a time or in lockstep, with how many slots, and on which GPUs.

None of it changes the boxes, so it is kept apart from the teacher's own options: DVC and the journal do not look at
it. The kind of device does (a GPU sums in another order than a CPU) and is the teacher's option `device`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datasets.processes import cores
from pipeline.params import ExecutorParams
from teachers import registry
from teachers.options import TeacherConfigError


@dataclass(frozen=True)
class Plan:
    """How workers track in lockstep; the boxes do not depend on it.

    Attributes:
        slots: Videos that a worker tracks at once, at most.
        devices: One per local worker, given to the teacher as its option `device`; empty: the option as it is.
        decoders: Threads of a worker that decode images.
    """

    slots: int
    devices: tuple[str, ...] = ()
    decoders: int = 1

    @property
    def threads(self) -> int:
        """Videos handed to a worker at once: those in its slots, and those that are ready to follow them."""
        return self.slots + max(1, self.slots // 4)


SLOTS_ON_GPU = 64
"""Shared by its workers, where `executor.slots` does not say; one that has no memory for its share takes half of it,
or a quarter."""

WORKERS_ON_GPU, CORES_PER_WORKER = 4, 4
"""Where neither `executor.devices` nor the teacher's `workers_on_gpu` says: at most, and cores for each. What limits
one worker is Python's lock, for which its decoding threads and the one that steps wait (docs/benchmarks.md)."""


def planned(name: str, use: str, options: Mapping[str, object], params: ExecutorParams) -> Plan | None:
    """How a teacher is to be run in lockstep, or None: one video at a time.

    Args:
        name: The teacher's name in params.yaml.
        use: The teacher as the registry names it.
        options: Its options; `device` says whether it runs on a GPU.
        params: The section `executor` of params.yaml.

    Raises:
        TeacherConfigError: If it is to track several videos at once and cannot, or there is no GPU for it.
    """
    device = str(options.get("device", "cpu"))
    if not registry.can_batch(use):
        if (slots := params.slots.get(name, 1)) > 1:
            raise TeacherConfigError(
                f"executor.slots.{name} = {slots}, but {use} tracks one video at a time. Leave it out"
            )
        return None
    local = params.scheduler is None and params.job_queue is None
    most = registry.workers_on_gpu(use, WORKERS_ON_GPU)
    devices = _devices(device, params.devices, most) if local and device != "cpu" else ()
    share = SLOTS_ON_GPU // max(map(devices.count, devices), default=1)
    slots = params.slots.get(name, 1 if device == "cpu" else max(1, share))
    if device == "cpu" and slots == 1:
        return None
    workers = len(devices) or params.workers or cores()
    return Plan(slots, devices, max(1, cores() // workers) if local else 1)


def _devices(device: str, listed: tuple[str, ...] | None, most: int) -> tuple[str, ...]:
    """One device per worker: the GPU that the teacher names, or those listed; else all of this machine, repeatedly.

    `most` is how often at most.
    """
    if ":" in device:
        return (device,)
    if listed is not None:
        return tuple(d for d in listed if d.startswith(f"{device}:")) or (device,)
    if device != "cuda":
        return (device,)
    import torch

    if not (count := torch.cuda.device_count()):
        raise TeacherConfigError("device = 'cuda': PyTorch finds no GPU here. Leave it out to run on the CPU")
    each = min(most, max(1, cores() // (CORES_PER_WORKER * count)))
    return tuple(f"cuda:{i}" for i in range(count)) * each
