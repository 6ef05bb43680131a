"""Checkouts, options and weights with which a tracker cannot be set up."""

import os
import sys

import fake_checkouts
import pytest
import torch
from external_samples import listing, track

from datasets.errors import DataError
from teachers import registry
from teachers.external.checkout import check_choice
from teachers.options import TeacherConfigError

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("use", "change", "error", "said"),
    [
        (
            "pytracking:fake/default",
            {"checkout": "{tmp}/no"},
            TeacherConfigError,
            "{tmp}/no|does not point|git clone https",
        ),
        (
            "pytracking:fake/default",
            {"checkout": "{tmp}"},
            DataError,
            "{tmp}: this is no checkout of pytracking: it has",
        ),
        (
            "pytracking:fake/default",
            {"checkout": "{root}/ltr"},
            DataError,
            "no checkout of pytracking|Give {root}",
        ),
        (
            "pytracking:fake/default",
            {"weights": "{tmp}/no.pth"},
            DataError,
            "{tmp}/no.pth: there are no such weights",
        ),
        ("pytracking:none/default", {}, DataError, "there is no tracker 'none'|Choose one of fake"),
        (
            "pytracking:fake/none",
            {},
            DataError,
            "there is no parameter file of fake 'none'|Choose one of default",
        ),
        ("pytracking:fake", {}, TeacherConfigError, "write pytracking:TRACKER/PARAMETERS, such as"),
        ("pytracking:../fake/default", {}, TeacherConfigError, "write pytracking:TRACKER/PARAMETERS"),
        ("pysot:../small", {}, TeacherConfigError, "write pysot:EXPERIMENT"),
        ("pysot:small", {}, DataError, "this is no checkout of pysot: it has no pysot/core/config.py"),
        (
            "pytracking:fake/default",
            {"device": "cuda:77"},
            DataError,
            "device = 'cuda:77' cannot be used here",
        ),
        ("pytracking:fake/default", {"threads": 0}, TeacherConfigError, "threads = 0"),
        ("pytracking:fake/default", {"patience": 0.0}, TeacherConfigError, "patience = 0.0"),
        (
            "pytracking:fake/default",
            {"python": "{tmp}/no"},
            TeacherConfigError,
            "python = '{tmp}/no': path does not",
        ),
        ("pytracking:fake/default", {"python": "{tmp}/text"}, DataError, "{tmp}/text: cannot be started"),
        ("pytracking:fake/default", {"python": "{tmp}/false"}, DataError, "ended with exit code 1|not today"),
        (
            "pytracking:fake/default",
            {"python": "{tmp}/talks"},
            DataError,
            "{tmp}/talks, wrote b'hello' where its answer",
        ),
        (
            "pytracking:fake/default",
            {"python": "{tmp}/lists"},
            DataError,
            "{tmp}/lists, wrote b'[1]' where its answer",
        ),
        (
            "pytracking:fake/default",
            {"weights": "{tmp}"},
            DataError,
            "there is no nets/small.pth in this folder",
        ),
    ],
)
def test_a_wrong_name_or_option(use, change, error, said, pytracking_root, networks, tmp_path):
    (tmp_path / "text").write_text("no program")
    (tmp_path / "false").write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    (tmp_path / "talks").write_text(f'#!/bin/sh\necho hello\nexec {sys.executable} "$@"\n')
    (tmp_path / "lists").write_text("#!/bin/sh\necho '[1]'\nsleep 600\n")
    for name in ("false", "talks", "lists"):
        (tmp_path / name).chmod(0o755)
    options = {"checkout": str(pytracking_root), "weights": str(networks)}
    if use.startswith("pysot"):
        options["weights"] = str(networks / "nets" / "small.pth")
    values = {
        k: v.format(tmp=tmp_path, root=pytracking_root) if isinstance(v, str) else v
        for k, v in change.items()
    }
    with pytest.raises(error) as caught:
        registry.create(use, options | values)
    parts = said.format(tmp=tmp_path, root=pytracking_root).split("|")
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_packages_own_file_is_no_choice(tmp_path):
    for name in ("__init__.py", "b.py", "a.py"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"there is no tracker '__init__'.*Choose one of a, b"):
        check_choice(tmp_path, "*.py", "__init__", "tracker")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "pytracking/__init__.py",
            "1 / 0\n",
            "ZeroDivisionError: division by zero (pytracking/__init__.py, line 1)",
        ),
        ("pytracking/__init__.py", "import no_such_package.part\n", "-m pip install no_such_package`"),
        (
            "pytracking/__init__.py",
            "raise ModuleNotFoundError('no', name='skimage.io')\n",
            "-m pip install scikit-image`",
        ),
        ("pytracking/__init__.py", "import pytracking.old\n", "made for pytracking at commit 7eb9e74"),
        ("pytracking/tracker/fake/__init__.py", "Fake = None\n", "has no attribute 'get_tracker_class'"),
        (
            "pytracking/tracker/fake/tracker.py",
            "import os\nos._exit(7)\n",
            "ended with exit code 7 while it was",
        ),
        ("pysot/core/config.py", "1 / 0\n", "ZeroDivisionError: division by zero (pysot/core/config.py"),
        ("pysot/models/model_builder.py", "import pysot.old\n", "made for pysot at commit d04028f"),
    ],
)
def test_a_checkout_that_cannot_be_imported(file, text, said, networks, pysot_weights, tmp_path):
    pysot = file.startswith("pysot")
    files = fake_checkouts.PYSOT if pysot else fake_checkouts.PYTRACKING
    root = fake_checkouts.write(files | {file: text}, tmp_path / "checkout")
    use, weights = ("pysot:small", pysot_weights) if pysot else ("pytracking:fake/default", networks)
    before = listing(root)
    with pytest.raises(DataError) as caught:
        registry.create(use, {"checkout": str(root), "weights": str(weights)})
    assert caught.value.path == root
    assert said in str(caught.value)
    if "ended" not in said:  # whoever only has to install something needs no traceback
        assert hasattr(caught.value, "__notes__") == ("pip install" not in said)
        assert all("Traceback" in note for note in getattr(caught.value, "__notes__", []))
    assert listing(root) == before


def truncated(path):
    path.write_bytes(path.read_bytes()[:-300])


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (
            lambda path: truncated(fake_checkouts.save_network(path)),
            "cannot be read: it is truncated, damaged",
        ),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: torch.save({"net": os.system}, path), "holds pickled code (posix.system)"),
        (
            lambda path: fake_checkouts.save_network(path, "os"),
            "its network would be built by os, no model of ltr",
        ),
        (lambda path: fake_checkouts.save_network(path, other=torch.ones(2)), "Missing key(s) in state_dict"),
    ],
)
def test_weights_that_are_none(save, said, pytracking_root, tmp_path):
    path = tmp_path / "net.pth"
    save(path)
    with pytest.raises(DataError) as caught:
        registry.create("pytracking:fake/default", {"checkout": str(pytracking_root), "weights": str(path)})
    assert said in str(caught.value)
    assert caught.value.path == path


def test_weights_that_are_trusted(pysot_root, pysot_weights, tmp_path):
    path = tmp_path / "net.pth"
    torch.save({**torch.load(pysot_weights), "extra": os.system}, path)
    options = {"checkout": str(pysot_root), "weights": str(path)}
    with pytest.raises(DataError, match="trust_weights: true"):
        registry.create("pysot:small", options)
    assert track(registry.create("pysot:small", {**options, "trust_weights": True})).shape == (3, 4)


@pytest.mark.parametrize("change", ["missing", "shape", "tensor"])
def test_pysots_weights_that_do_not_fit(change, pysot_root, pysot_weights, tmp_path):
    state = dict(torch.load(pysot_weights)["state_dict"])
    said = {
        "missing": "1 tensors are missing: head.bias",
        "shape": "size mismatch",
        "tensor": "it holds a Tensor",
    }
    if change == "missing":
        del state["module.head.bias"]
    else:
        state["module.head.bias"] = torch.zeros(2)
    path = tmp_path / "net.pth"
    torch.save(torch.zeros(3) if change == "tensor" else state, path)
    with pytest.raises(DataError) as caught:
        registry.create("pysot:small", {"checkout": str(pysot_root), "weights": str(path)})
    assert said[change] in str(caught.value)
    assert caught.value.path == path
