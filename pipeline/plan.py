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
"""Where `executor.slots` does not say; a GPU that has no memory for so many takes half, or a quarter."""


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
    slots = params.slots.get(name, 1 if device == "cpu" else SLOTS_ON_GPU)
    if not registry.can_batch(use):
        if name in params.slots and slots > 1:
            raise TeacherConfigError(
                f"executor.slots.{name} = {slots}, but {use} tracks one video at a time. Leave it out"
            )
        return None
    if device == "cpu" and slots == 1:
        return None
    local = params.scheduler is None and params.job_queue is None
    devices = _devices(device, params.devices) if local and device != "cpu" else ()
    workers = len(devices) or params.workers or cores()
    return Plan(slots, devices, max(1, cores() // workers) if local else 1)


def _devices(device: str, listed: tuple[str, ...] | None) -> tuple[str, ...]:
    """The GPUs of this machine to use: one where the teacher names it, else those listed, else all."""
    if ":" in device:
        return (device,)
    if listed is not None:
        return tuple(d for d in listed if d.startswith(f"{device}:")) or (device,)
    import torch

    count = torch.cuda.device_count() if device == "cuda" else 1
    if not count:
        raise TeacherConfigError("device = 'cuda': PyTorch finds no GPU here. Leave it out to run on the CPU")
    return tuple(f"{device}:{i}" for i in range(count)) if device == "cuda" else (device,)
