"""SiamRPN's checkpoints: every form is read; truncated, foreign and malicious ones are refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from siamrpn_samples import golden_weights, small_network

from datasets.errors import DataError
from teachers.options import TeacherConfigError, checked_options
from teachers.siamrpn import SiamRpn
from teachers.siamrpn.variants import VARIANTS
from teachers.weights import fit, load_state

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def checkpoint(tmp_path: Path):
    path = tmp_path / "small.pth"
    torch.save(golden_weights(small_network()), path)
    return path


def load(path: Path):
    fit(small_network(), load_state(path), path)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("should-never-exist",))


def test_every_form_of_a_checkpoint_loads(checkpoint: Path, tmp_path: Path):
    state = golden_weights(small_network())
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 1}, tmp_path / "nested.pth"
    )
    uncounted = {k: v for k, v in state.items() if "num_batches" not in k}
    safetensors.torch.save_file(uncounted, tmp_path / "new.safetensors")
    for path in (checkpoint, *(tmp_path / n for n in ("old.pth", "nested.pth", "new.safetensors"))):
        network = small_network()
        fit(network, load_state(path), path)
        for key, value in network.state_dict().items():
            assert torch.equal(value, state[key])
    torch.save({"module.head.module.weight": torch.ones(1)}, tmp_path / "inner.pth")
    assert list(load_state(tmp_path / "inner.pth")) == ["head.module.weight"]


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("form", ["zip", "stream", "safetensors"])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, keep: float, form: str):
    state = golden_weights(small_network())
    path = tmp_path / ("cut.safetensors" if form == "safetensors" else "cut.pth")
    if form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError, match=r"cut\.(pth|safetensors).*Download the checkpoint again"):
        load(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    torch.save({"weight": Malicious()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"evil\.pth: the checkpoint holds pickled code \(posix\.mkdir\)"):
        load(path)
    path.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(DataError, match=r"evil\.pth"):
        load(path)
    torch.save(small_network(), path)
    with pytest.raises(DataError, match=r"holds pickled code .*state_dict alone"):
        load(path)
    assert not (tmp_path / "should-never-exist").exists()


def test_another_networks_checkpoint_says_what_differs(checkpoint: Path, tmp_path: Path):
    state = load_state(checkpoint)
    del state["rpn_head.cls.head.0.weight"]
    state["backbone.features.4.weight"] = torch.zeros(8, 9, 5, 5)
    state["fc.weight"] = torch.zeros(1)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(DataError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: this checkpoint does not fit SiamRPN (1 missing: ")
    assert "1 missing: rpn_head.cls.head.0.weight" in message
    assert "1 of another shape: backbone.features.4.weight (8x9x5x5 instead of 8x8x5x5)" in message
    assert "1 unexpected: fc.weight" in message


def test_broken_or_foreign_content_is_refused(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    state = load_state(checkpoint)
    path = tmp_path / "odd.pth"
    torch.save({**state, "backbone.features.0.bias": torch.full((8,), torch.nan)}, path)
    with pytest.raises(DataError, match=r"1 tensors hold NaN or infinity: backbone\.features\.0\.bias"):
        load(path)
    for content, message in (([1, 2], "holds a list"), ({"epoch": 3}, "epoch are no tensors"), ({}, "empty")):
        torch.save(content, path)
        with pytest.raises(DataError, match=message):
            load(path)
    with pytest.raises(DataError, match="no such checkpoint"):
        load(tmp_path / "absent.pth")
    torch.save({**state, "mask_head.weight": torch.zeros(1)}, path)
    load(path)
    assert "mask_head.weight" in caplog.text
    with pytest.raises(DataError, match=r"1 unexpected: mask_head\.weight"):
        fit(small_network(), load_state(path), path, whole=True)


def test_options_are_checked(checkpoint: Path, tmp_path: Path):
    given = checked_options("siamrpn", SiamRpn, {"weights": str(checkpoint), "variant": "dasiamrpn_otb"})
    assert given == {"weights": checkpoint, "variant": "dasiamrpn_otb"}
    with pytest.raises(TeacherConfigError, match="variant = 'resnet'"):
        checked_options("siamrpn", SiamRpn, {"weights": str(checkpoint), "variant": "resnet"})
    with pytest.raises(TeacherConfigError, match="weights"):
        checked_options("siamrpn", SiamRpn, {"weights": str(tmp_path / "absent.pth")})
    with pytest.raises(TeacherConfigError, match="device = 'abacus'"):
        SiamRpn(weights=checkpoint, device="abacus")
    with pytest.raises(DataError, match="does not fit siamrpn's variant siamrpn_alex_dwxcorr"):
        SiamRpn(weights=checkpoint)


def test_another_variants_checkpoint_is_told(tmp_path: Path):
    path = tmp_path / "r50.pth"
    torch.save(golden_weights(VARIANTS["siamrpn_r50_l234_dwxcorr"].build()), path)
    for variant in (
        None,
        "siamrpn_r50_l234_dwxcorr_otb",
    ):  # the second lacks nothing: it has two tensors fewer
        with pytest.raises(
            DataError, match=r"is the network of variant siamrpn_r50_l234_dwxcorr, not of siamrpn_"
        ) as error:
            SiamRpn(weights=path, variant=variant)
        assert "Give the option variant: siamrpn_r50_l234_dwxcorr, or" in str(error.value)
    SiamRpn(weights=path, variant="siamrpn_r50_l234_dwxcorr")
    torch.save(golden_weights(VARIANTS["dasiamrpn_otb"].build()), path)
    SiamRpn(weights=path, variant="dasiamrpn_vot")
    with pytest.raises(
        DataError, match="of variant dasiamrpn_vot or dasiamrpn_otb, not of siamrpn_alex_dwxcorr"
    ):
        SiamRpn(weights=path)


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("siamrpn_r50_l234_dwxcorr", "`python -m teachers fetch siamrpn_r50_l234_dwxcorr` downloads it"),
        ("dasiamrpn_vot", "Download SiamRPNVOT.model by hand from https://"),
        ("siamrpn_alex_dwxcorr_16gpu", "its published checkpoint. Without weights and variant"),
    ],
)
def test_a_variant_without_weights_says_how_to_get_them(variant: str, said: str):
    with pytest.raises(TeacherConfigError) as error:
        SiamRpn(variant=variant)
    assert said in str(error.value)
