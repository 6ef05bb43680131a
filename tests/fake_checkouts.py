"""Small projects laid out like pytracking and pysot, written into a folder: what the adapters drive, in a few lines.

They do what the originals do where it matters to an adapter: write settings into themselves unless they find some,
import packages that nobody has, call functions that PyTorch has removed, pool with the Precise RoI pooling of a
submodule, and keep containers that answer for every method of a tensor.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import torch

PYTRACKING = {
    "pytracking/__init__.py": """
import torch
import jpeg4py
import visdom.server
from tikzplotlib import save
from lvis.deeper import LVIS, nothing

class TensorList(list):
    def __getattr__(self, name):
        if not hasattr(torch.Tensor, name):
            raise AttributeError(name)
        return lambda *a, **k: TensorList([getattr(e, name)(*a, **k) for e in self])

class TensorDict(dict):
    def __getattr__(self, name):
        if not hasattr(torch.Tensor, name):
            raise AttributeError(name)
        return lambda *a, **k: TensorDict({n: getattr(e, name)(*a, **k) for n, e in self.items()})
""",
    "pytracking/libs/__init__.py": "",
    "pytracking/libs/dcf.py": """
import torch

def max2d(a):
    return a.flatten(-2).max(-1)
""",
    "pytracking/evaluation/__init__.py": "",
    "pytracking/evaluation/environment.py": """
import importlib, os

class EnvSettings:
    def __init__(self):
        self.network_path = 'nowhere'
        self.results_path = 'nowhere'

def env_settings():
    try:
        return importlib.import_module('pytracking.evaluation.local').local_env_settings()
    except ImportError:
        open(os.path.join(os.path.dirname(__file__), 'local.py'), 'w').close()
        raise RuntimeError('settings were written into the checkout')
""",
    "ltr/__init__.py": "",
    "ltr/admin/__init__.py": "",
    "ltr/admin/loading.py": """
import importlib, torch
from ltr.admin.local import EnvironmentSettings

def load_network(path):
    content = torch.load(path)
    constructor = content['constructor']
    assert EnvironmentSettings().workspace_dir == ''
    net = getattr(importlib.import_module(constructor.fun_module), constructor.fun_name)()
    net.load_state_dict(content['net'])
    return net
""",
    "ltr/admin/model_constructor.py": """
class NetConstructor:
    def __init__(self, fun_name, fun_module):
        self.fun_name, self.fun_module = fun_name, fun_module
""",
    "ltr/models/__init__.py": "",
    "ltr/models/small.py": """
import torch
from ltr.external.PreciseRoIPooling.pytorch.prroi_pool import PrRoIPool2D

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.step = torch.nn.Parameter(torch.zeros(4))
        self.pool = PrRoIPool2D(2, 3, 1.0)

def small():
    return Small()
""",
    "pytracking/parameter/fake/default.py": """
import os, torch
from ltr.admin.loading import load_network
from pytracking.evaluation.environment import env_settings

class Wrapper:
    def __init__(self, net_path, use_gpu):
        self.net_path, self.use_gpu, self.net = net_path, use_gpu, None
    def initialize(self):
        try:
            self.net = load_network(os.path.join(env_settings().network_path, self.net_path))
        except Exception:
            raise Exception('Did not find network file ' + self.net_path)

class Params:
    pass

def parameters():
    params = Params()
    params.use_gpu = True
    params.net = Wrapper('nets/small.pth', params.use_gpu)
    params.drift = 0
    return params
""",
    "pytracking/tracker/__init__.py": "",
    "pytracking/tracker/fake/__init__.py": "def get_tracker_class():\n    from .tracker import Fake\n    return Fake\n",
    # What it does wrong, if anything, hangs on the width of the target.
    "pytracking/tracker/fake/tracker.py": """
import os, signal, subprocess, sys, time
import numpy as np
import torch
from pytracking import TensorList

class Fake:
    def __init__(self, params):
        self.params = params

    def initialize_features(self):
        if not getattr(self, 'features_initialized', False):
            self.params.net.initialize()
            torch.rand(7)
        self.features_initialized = True
        assert not self.params.use_gpu and not self.params.net.use_gpu

    def initialize(self, image, info):
        self.initialize_features()
        self.box = info['init_bbox']
        self.jitter = torch.rand(1).item()
        self.kind = self.box[2]
        self.params.drift += 1
        if self.kind == 110:
            raise ValueError('the target has no texture')

    def track(self, image, info=None):
        print('a line on stdout')
        kind = self.kind
        if kind == 100:
            return [][0]
        if kind == 101:
            return {'target_bbox': torch.full((4,), float('nan'))}
        if kind == 102:
            return {'target_bbox': None}
        if kind == 103:
            return {'target_bbox': [-5000.0, 1e6, 30.0, 40.0]}
        if kind == 104:
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == 105:
            time.sleep(1000)
        if kind == 106:
            os.write(1, b'out' * 100000)
            os.write(2, b'err\\n' * 100000)
        if kind == 107:
            sys.exit('good bye')
        if kind == 108:
            return {}
        if kind == 109:
            print('the last words', file=sys.stderr)
            os._exit(3)
        if kind in (112, 113):
            child = subprocess.Popen(['sleep', '1000']).pid if kind == 112 else os.fork() or time.sleep(1000)
            with open(os.environ['CHILD'], 'w') as file:
                file.write(str(child))
            if self.box[3] == 35:
                os._exit(3)
            time.sleep(1000)
        if kind == 111:
            return {'target_bbox': [1.0, 2.0, 3.0, -4.0]}
        x = TensorList([torch.tensor([1.0, 2.0], requires_grad=True)])
        gradient = torch.autograd.grad(TensorList([(x[0] ** 2).sum()]), x)[0]
        assert gradient.tolist() == [2, 4]
        signal_ = torch.rand(3, 4)
        assert torch.allclose(torch.irfft(torch.rfft(signal_, 2), 2, signal_sizes=(3, 4)), signal_, atol=1e-6)
        features = torch.from_numpy(image[None, None, :, :, 0].astype(np.float32))  # red
        roi = torch.tensor([[0.0, 2.0, 3.0, 8.0, 7.0]])
        red = self.params.net.net.pool(features, roi).mean()
        draws = [np.random.rand() + self.jitter, torch.rand(1).item()]
        step = self.params.net.net.step.detach()
        return {'target_bbox': [self.box[0] + step[0] + draws[0], self.box[1] + draws[1], self.box[2] + red,
                                self.box[3] + self.params.drift]}
""",
}

PYSOT = {
    "pysot/__init__.py": "",
    "pysot/core/__init__.py": "",
    "pysot/core/config.py": """
import numpy as np
half = np.float(0.5)

class Config:
    CUDA = True
    def merge_from_file(self, path):
        with open(path) as file:
            self.gain = float(file.read().split(':')[1])

cfg = Config()
""",
    "pysot/models/__init__.py": "",
    "pysot/models/model_builder.py": """
import torch

class ModelBuilder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(2, 1)
        self.norm = torch.nn.BatchNorm1d(1)
""",
    "pysot/tracker/__init__.py": "",
    "pysot/tracker/tracker_builder.py": """
import numpy as np
import torch
from pysot.core.config import cfg

class Tracker:
    def __init__(self, model):
        self.model = model
    def init(self, image, bbox):
        self.box = bbox
    def track(self, image):
        blue = float(image[..., 0].mean())
        assert not torch.is_grad_enabled() and not self.model.training and not cfg.CUDA
        out = float(self.model.head(torch.tensor([[1.0, 2.0]]))) * cfg.gain
        x, y, w, h = self.box
        return {'bbox': [x, np.float64(y), w + blue, h + out], 'best_score': 1.0}

def build_tracker(model):
    return Tracker(model)
""",
    "experiments/small/config.yaml": "GAIN: 2",
    "experiments/other_one/config.yaml": "GAIN: 3",
}


def write(files: dict[str, str], root: Path) -> Path:
    """Write a project's files into a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


class NetConstructor:
    """Stands for the checkout's class of that name while a checkpoint is pickled."""

    def __init__(self, module: str) -> None:
        self.fun_name, self.fun_module = "small", module


NetConstructor.__module__ = "ltr.admin.model_constructor"


def save_network(path: Path, module: str = "ltr.models.small", **tensors: torch.Tensor) -> Path:
    """Write a checkpoint as ltr's trainers do: tensors beside an object that builds the network."""
    path.parent.mkdir(parents=True, exist_ok=True)
    modules = {name: ModuleType(name) for name in ("ltr", "ltr.admin", NetConstructor.__module__)}
    vars(modules[NetConstructor.__module__])["NetConstructor"] = NetConstructor
    sys.modules.update(modules)
    try:
        net = tensors or {"step": torch.tensor([0.5, 0.0, 0.0, 0.0])}
        torch.save({"net": net, "constructor": NetConstructor(module), "epoch": 40}, path)
    finally:
        for name in modules:
            del sys.modules[name]
    return path
