"""TRAS, TRAST and TRASFUST: the three trackers that a student makes (paper, Section 3.5), each of them a teacher.

tracker = registry.create("tras", {"weights": "runs/first/best.safetensors"})     # as any teacher
tracker = TrastTracker(Inference(student), "kcf", Kcf())                           # from objects
box = tracker.start(image, box, Task(name, length)); box = tracker.track(image)    # then tracker.chosen, .values
"""

from trainer.trackers.factory import Tras, Trasfust, Trast
from trainer.trackers.inference import Inference
from trainer.trackers.tras import TrasBatch, TrasTracker
from trainer.trackers.trasfust import TrasfustTracker
from trainer.trackers.trast import TrastTracker

__all__ = [
    "Inference",
    "Tras",
    "TrasBatch",
    "TrasTracker",
    "Trasfust",
    "TrasfustTracker",
    "Trast",
    "TrastTracker",
]
