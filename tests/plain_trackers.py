"""TRAS, TRAST and TRASFUST by the paper's equations and the authors' conventions, one state at a time."""

import itertools

import numpy as np
import torch
from tracker_samples import BOX, HEIGHT, WIDTH

from trainer.crops import crop_batch


def rho(before, now, box):
    x, y, w, h = (float(v) for v in box)
    w, h = min(w, WIDTH), min(h, HEIGHT)
    cx, cy = np.clip(x + float(box[2]) / 2, 0, WIDTH), np.clip(y + float(box[3]) / 2, 0, HEIGHT)
    around = torch.tensor([[cx - w / 2, cy - h / 2, w, h]], dtype=torch.float32)
    whole, size = torch.tensor([[0, 0, WIDTH, HEIGHT]]), torch.tensor([[WIDTH, HEIGHT]])
    rgb = [torch.from_numpy(np.ascontiguousarray(image[..., ::-1])) for image in (before, now)]
    return [crop_batch([image], whole, size, around, 64, 1.5) for image in rgb]


def psi(action, box):
    dx, dy, dw, dh = np.clip(action, -1, 1)
    x, y, w, h = box
    return clip([x + dx * w, y + dy * h, w + dw * w, h + dh * h])


def clip(box):
    x, y, w, h = box
    return np.array(
        [np.clip(x, 0, WIDTH), np.clip(y, 0, HEIGHT), np.clip(w, 1, WIDTH), np.clip(h, 1, HEIGHT)], np.float32
    )


class PlainState:
    """The LSTM of one stream: the state after update 1 is restored before updates 32, 64, ..."""

    def __init__(self, student):
        self.student, self.state, self.update = student, student.initial_state(1), 0

    def __call__(self, before, now, box):
        self.update += 1
        if self.update in (32, 64):
            self.state = self.first
        with torch.no_grad():
            action, value, self.state = self.student(*rho(before, now, box), self.state)
        if self.update == 1:
            self.first = self.state
        return action[0].numpy(), float(value)


def plain_tras(student, images):
    box, look, boxes, values = BOX, PlainState(student), [BOX], []
    for before, now in itertools.pairwise(images):
        action, value = look(before, now, box)
        box = psi(action, box)
        boxes.append(box)
        values.append(value)
    return np.stack(boxes), values


def plain_trast(student, images, teacher):
    box, boxes, chosen = BOX, [BOX], ["given"]
    own, other = PlainState(student), PlainState(student)
    for t in range(1, len(images)):
        before, now = images[t - 1], images[t]
        action, value = own(before, now, box)
        _, teacher_value = other(before, now, teacher[t - 1])
        box = psi(action, box) if value >= teacher_value else clip(teacher[t])
        boxes.append(box)
        chosen.append("student" if value >= teacher_value else "t")
    return np.stack(boxes), chosen


def plain_trasfust(student, images, teachers):
    looks, boxes, chosen = {n: PlainState(student) for n in teachers}, [BOX], ["given"]
    for t in range(1, len(images)):
        values = {n: looks[n](images[t - 1], images[t], teachers[n][t - 1])[1] for n in teachers}
        best = max(values, key=values.get)
        boxes.append(clip(teachers[best][t]))
        chosen.append(best)
    return np.stack(boxes), chosen
