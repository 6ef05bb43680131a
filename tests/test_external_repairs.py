"""What the adapters put back from outside, each by itself: pooling, transforms, checkpoints, absent packages."""

import ast
import itertools
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from fake_checkouts import write
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, interpolate

from teachers.external.checkout_worker.prroi_pool import PrRoIPool2D
from teachers.external.checkout_worker.torch_repairs import hide_dunders, irfft, rfft

torch.set_num_threads(1)


def features(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def by_integration(plane, x0, y0, x1, y1):
    """The mean of the bilinear surface over a rectangle inside the plane, piece by piece between its kinks."""
    height, width = plane.shape
    surface = interpolate.RegularGridInterpolator((np.arange(height), np.arange(width)), plane)
    total = 0.0
    for top, bottom in pieces(y0, y1):
        for left, right in pieces(x0, x1):
            value, _ = integrate.dblquad(
                lambda x, y: surface((y, x)).item(), top, bottom, left, right, epsabs=1e-10
            )
            total += value
    return total / ((x1 - x0) * (y1 - y0))


def pieces(low, high):
    cuts = [low, *np.arange(np.floor(low) + 1, np.ceil(high)), high]
    return list(itertools.pairwise(cuts))


@pytest.mark.parametrize("roi", [(0.3, 1.2, 4.9, 3.7), (2.0, 1.0, 3.0, 2.0), (1.6, 1.6, 1.7, 3.0)])
def test_pooling_is_the_mean_of_the_bilinear_surface(roi):
    plane = features(1, 2, 6, 7)
    scale = 0.25
    rois = torch.tensor([[0.0, *(v / scale for v in roi)]], dtype=torch.float64)
    pooled = PrRoIPool2D(2, 3, scale)(plane, rois)
    assert pooled.shape == (1, 2, 2, 3)
    x0, y0, x1, y1 = roi
    for i in range(2):
        for j in range(3):
            cell = (
                x0 + (x1 - x0) * j / 3,
                y0 + (y1 - y0) * i / 2,
                x0 + (x1 - x0) * (j + 1) / 3,
                y0 + (y1 - y0) * (i + 1) / 2,
            )
            expected = by_integration(plane[0, 1].numpy(), *cell)
            assert pooled[0, 1, i, j].item() == pytest.approx(expected, abs=1e-9)


def test_pooling_outside_the_plane_counts_zeros():
    ones = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    rois = torch.tensor([[0, -10.0, 0, 0, 3], [0, -1.0, 0, 0, 3], [0, 50.0, 50, 60, 60]], dtype=torch.float64)
    pooled = PrRoIPool2D(1, 1, 1.0)(ones, rois).flatten()
    # The surface falls from 1 at x = 0 to 0 at x = -1.
    np.testing.assert_allclose(pooled, [0.05, 0.5, 0])


def test_pooling_has_the_gradients_that_it_should():
    pool = PrRoIPool2D(3, 2, 0.5)
    plane = features(1, 2, 5, 6).requires_grad_()
    rois = torch.tensor([[0, 1.3, 0.7, 8.1, 6.9], [0, -2.1, 3.3, 4.7, 11.2]], dtype=torch.float64)
    corners = rois[:, 1:].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f, c: pool(f, torch.cat([rois[:, :1], c], 1)), (plane, corners))


def test_a_region_without_area_gives_zeros_and_finite_gradients():
    rois = torch.tensor([[0, 2.0, 2, 2, 5], [0, 4.0, 1, 2, 3], [0, 1.0, 1, 3, 3]]).requires_grad_()
    pooled = PrRoIPool2D(2, 2, 1.0)(features(1, 3, 8, 8, dtype=torch.float32), rois)
    assert (pooled[:2] == 0).all()
    assert (pooled[2] != 0).all()
    pooled.sum().backward()
    assert torch.isfinite(rois.grad).all()


@given(st.integers(1, 4), st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_each_region_is_pooled_from_its_own_image(images, numbers, seed):
    numbers = [n % images for n in numbers]
    planes = features(images, 2, 7, 5, seed=seed)
    corners = features(len(numbers), 2, 2, seed=seed + 1).abs().cumsum(1).reshape(-1, 4) * 2
    rois = torch.cat([torch.tensor(numbers, dtype=torch.float64)[:, None], corners], 1)
    pool = PrRoIPool2D(2, 2, 1.0)
    together = pool(planes, rois)
    for k, number in enumerate(numbers):
        alone = pool(
            planes[number : number + 1],
            torch.cat([torch.zeros(1, 1, dtype=torch.float64), corners[k : k + 1]], 1),
        )
        torch.testing.assert_close(together[k], alone[0])


@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_the_transforms_of_old(onesided, normalized):
    signal = features(2, 3, 5, 7)
    spectrum = rfft(signal, 2, normalized, onesided)
    norm = "ortho" if normalized else None
    expected = (np.fft.rfft2 if onesided else np.fft.fft2)(signal.numpy(), norm=norm)
    np.testing.assert_allclose(torch.view_as_complex(spectrum).numpy(), expected, atol=1e-12)
    back = irfft(spectrum, 2, normalized, onesided, signal_sizes=(5, 7))
    torch.testing.assert_close(back, signal)
    if onesided:  # without sizes the last one is taken to be even, as it was
        assert irfft(rfft(signal[..., :6], 2), 2).shape == (2, 3, 5, 6)


def test_containers_no_longer_answer_for_pytorch():
    class Answering(list):
        def __getattr__(self, name):
            return f"{name} of each"

    hide_dunders(Answering)
    assert Answering().abs == "abs of each"
    assert not hasattr(Answering(), "__torch_function__")


def python(program, *path):
    code = f"import sys; sys.path[:0] = {[str(p) for p in path]!r}\n" + textwrap.dedent(program)
    place = str(REPOSITORY / "teachers" / "external")
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_absent_packages_can_be_imported_and_not_used():
    python("""
        import importlib
        from checkout_worker import hollow
        hollow.UNUSED = hollow.UNUSED - {"pandas"} | {"json"}
        hollow.install()
        import lvis.deeper.still, json
        from pycocotools.coco import COCO
        class Mine(COCO): pass
        assert json.dumps([]) == "[]"                       # what is installed stays
        for name in ("no_such_package", "json.no_such_part", "pandas.no_such_part"):
            try: importlib.import_module(name)
            except ModuleNotFoundError: pass
            else: raise AssertionError(name)
        for use in (lvis.LVIS, lvis.deeper.still.nested.name, COCO, Mine):
            try: use()
            except ModuleNotFoundError as error: assert "is not installed" in str(error)
            else: raise AssertionError(use)
        assert not hasattr(lvis, "__all__") and not hasattr(COCO, "__torch_function__")
    """)


TORCHVISION = {
    "torchvision/__init__.py": """
import torch
try:
    torch.ops.torchvision.nms
except AttributeError:
    raise RuntimeError('operator torchvision::nms does not exist')
""",
    "torchvision/models/__init__.py": "",
    "torchvision/models/resnet.py": "class BasicBlock: pass\n",
}


def test_a_torchvision_for_cuda_beside_a_pytorch_without(tmp_path):
    root = write(TORCHVISION, tmp_path)
    program = """
        from checkout_worker import torch_repairs
        torch_repairs.import_torchvision()
        from torchvision.models.resnet import BasicBlock, model_urls
        assert model_urls == {}
    """
    python(program, root)
    (root / "torchvision/__init__.py").write_text("raise RuntimeError('something else')")
    python(
        """
        from checkout_worker import torch_repairs
        try: torch_repairs.import_torchvision()
        except RuntimeError as error: assert str(error) == 'something else'
        else: raise AssertionError
    """,
        root,
    )


def test_what_a_worker_runs_is_python_3_8():
    """Its modules are of that version's grammar, and import nothing of ours."""
    for path in (REPOSITORY / "teachers/external/checkout_worker").glob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {n.split(".")[0] for n in names} & {"teachers", "datasets", "pipeline"}, path
