"""Runs a tracker of a real checkout as its authors' own scripts do, with nothing of the adapters but their repairs.

A program for the interpreter in which the checkout works: `upstream_by_hand.py PROJECT EXPERIMENT CHECKOUT CLIP
WEIGHTS OUT`, where PROJECT is pytracking or pysot, and CLIP an .npz of frames (T, H, W, 3) BGR, the first box, and a
seed per frame. Random weights are written to WEIGHTS first, in the format in which that project publishes its own.
"""

import importlib
import json
import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "teachers" / "external"))

import cv2
import numpy as np
import torch
from checkout_worker import hollow, pytracking_modules, torch_repairs


def seeded(seed):
    random.seed(int(seed))
    np.random.seed(int(seed))  # noqa: NPY002 - what the trackers draw from
    torch.manual_seed(int(seed))


def save_pytracking(experiment, path):
    if experiment.startswith("eco/"):
        backbone = importlib.import_module("ltr.models.backbone.resnet18_vggm")
        torch.save(backbone.resnet18_vggmconv1(["vggconv1", "layer3"]).state_dict(), path)
        return
    module, name = {
        "atom/default": ("ltr.models.bbreg.atom", "atom_resnet18"),
        "dimp/dimp50": ("ltr.models.tracking.dimpnet", "dimpnet50"),
    }[experiment]
    net = getattr(importlib.import_module(module), name)(backbone_pretrained=False)
    torch.save({"net": net.state_dict(), "constructor": net.constructor, "net_info": None, "epoch": 1}, path)


def pytracking(experiment, checkout, frames, box, seeds, weights):
    hollow.install()
    torch_repairs.install()
    torch_repairs.import_torchvision()
    pytracking_modules.install(str(Path(weights).parent))
    sys.path.insert(0, checkout)
    package = importlib.import_module("pytracking")
    for kind in (package.TensorList, package.TensorDict):
        torch_repairs.hide_dunders(kind)
    load = torch.load
    torch.load = lambda path, **_: load(path, map_location="cpu", weights_only=False)
    save_pytracking(experiment, weights)
    tracker, parameters = experiment.split("/")
    params = importlib.import_module(f"pytracking.parameter.{tracker}.{parameters}").parameters()
    params.use_gpu, params.visualization, params.debug = False, False, 0
    for part in params.features.features if hasattr(params, "features") else [params.net]:
        part.use_gpu, part.net_path = False, weights
    made = importlib.import_module(f"pytracking.tracker.{tracker}").get_tracker_class()(params)
    made.visdom = None
    made.initialize_features()
    seeded(seeds[0])
    answer = made.initialize(np.ascontiguousarray(frames[0][..., ::-1]), {"init_bbox": box}) or {}
    boxes = [box]
    for frame, seed in zip(frames[1:], seeds[1:], strict=True):
        seeded(seed)
        answer = made.track(np.ascontiguousarray(frame[..., ::-1]), {"previous_output": answer})
        boxes.append([float(v) for v in answer["target_bbox"]])
    return boxes


def pysot(experiment, checkout, frames, box, seeds, weights):
    sys.path.insert(0, checkout)
    cfg = importlib.import_module("pysot.core.config").cfg
    cfg.merge_from_file(str(Path(checkout, "experiments", experiment, "config.yaml")))
    cfg.CUDA = False
    model = importlib.import_module("pysot.models.model_builder").ModelBuilder().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith((".0.weight", "conv1.weight")) and value.shape[1:2] == (3,):
                value.mul_(0.01)  # what takes the image, in 0..255
    torch.save(model.state_dict(), weights)
    made = importlib.import_module("pysot.tracker.tracker_builder").build_tracker(model)
    x, y, w, h = box
    boxes = [box]
    with torch.no_grad():
        made.init(frames[0], [x + w / 2 - (w - 1) / 2, y + h / 2 - (h - 1) / 2, w, h])  # as tools/test.py
        boxes += [[float(v) for v in made.track(frame)["bbox"]] for frame in frames[1:]]
    return boxes


def main():
    project, experiment, checkout, clip, weights, out = sys.argv[1:]
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(5)
    data = np.load(clip)
    run = {"pytracking": pytracking, "pysot": pysot}[project]
    boxes = run(experiment, checkout, list(data["frames"]), data["box"].tolist(), data["seeds"], weights)
    Path(out).write_text(json.dumps(boxes))


if __name__ == "__main__":
    main()
