"""The student's network: the paper's shape, states, files of ours and of the paper's authors."""

import json

import pytest
import safetensors.torch
import torch
from torch import nn

from datasets.errors import DataError
from trainer.backbones import ResNet18, load_imagenet, make_backbone
from trainer.matching import correlation, surroundings
from trainer.student import LSTMState, Student, StudentOptions, load_student, save_student

torch.set_num_threads(1)
TINY = StudentOptions(backbone="tiny", width=16, crop_size=32)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return Student(TINY).eval()


@pytest.fixture(scope="module")
def paper():
    torch.manual_seed(0)
    return Student().eval()


def crops(batch, size=32, seed=1):
    return torch.randn(2, batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_the_defaults_are_the_papers(paper):
    shapes = {name: tuple(value.shape) for name, value in paper.named_parameters()}
    assert shapes["fc.weight"] == (512, 16384) and shapes["fc2.weight"] == (512, 512)
    assert shapes["lstm.weight_ih_l0"] == shapes["lstm.weight_hh_l0"] == (2048, 512)
    assert shapes["actor.weight"] == (4, 512) and shapes["critic.weight"] == (1, 512)
    assert (
        sum(p.numel() for p in paper.backbone.parameters()) == 11_176_512
    )  # ResNet-18's without its classifier


@pytest.mark.parametrize("backbone", ["resnet18", "small", "tiny"])
def test_every_backbone_gives_cells_of_32_pixels(backbone):
    student = Student(StudentOptions(backbone=backbone, width=8, crop_size=64)).eval()
    out = student(*crops(3, 64), student.initial_state(3))
    assert out.action.shape == (3, 4) and out.value.shape == (3,) and out.state.cell.shape == (3, 8)
    assert student.backbone(crops(1, 64)[0]).shape == (1, student.backbone.channels, 2, 2)


def test_matching_finds_where_a_cell_went():
    before = torch.zeros(2, 5, 6, 6)
    now = torch.zeros(2, 5, 6, 6)
    before[0, :, 2, 3] = now[0, :, 1, 5] = torch.arange(1.0, 6.0)  # one up, two to the right
    before[1, :, 0, 0] = now[1, :, 3, 0] = 1.0  # further than is looked
    found = correlation(before, now, surroundings(6, 2)).reshape(2, 5, 5, 6, 6)
    assert found[0, 2 - 1, 2 + 2, 2, 3] == 55.0
    assert found[0].count_nonzero() == 1 and found[1].count_nonzero() == 0


def test_matching_takes_crops_of_its_size_and_saves_no_table(tmp_path):
    student = Student(StudentOptions(backbone="matching", width=8, crop_size=64)).eval()
    assert not any("around" in name for name in student.state_dict())
    save_student(tmp_path / "s.safetensors", student)
    again = load_student(tmp_path / "s.safetensors").eval()
    state = student.initial_state(3)
    assert torch.equal(student(*crops(3, 64), state).action, again(*crops(3, 64), state).action)


def test_students_of_a_batch_do_not_see_each_other(tiny):
    previous, current = crops(4)
    first = tiny(previous, current, tiny.initial_state(4))
    second = tiny(current, previous, first.state)
    for i in range(4):
        one = slice(i, i + 1)
        alone = tiny(previous[one], current[one], tiny.initial_state(1))
        alone = tiny(current[one], previous[one], alone.state)
        torch.testing.assert_close(alone.action, second.action[one], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.value, second.value[one], rtol=1e-4, atol=1e-5)


def test_the_order_of_the_crops_and_the_memory_matter(tiny):
    previous, current = crops(2)
    forth = tiny(previous, current, tiny.initial_state(2))
    assert not torch.allclose(forth.action, tiny(current, previous, tiny.initial_state(2)).action)
    assert not torch.allclose(forth.action, tiny(previous, current, forth.state).action)


def test_states_are_chosen_by_row(tiny):
    state = tiny(*crops(3), tiny.initial_state(3)).state
    mixed = state.where(torch.tensor([True, False, True]), tiny.initial_state(3))
    assert torch.equal(mixed.hidden[0], state.hidden[0]) and not mixed.hidden[1].any() and mixed.cell[2].any()
    assert state.hidden.requires_grad and not state.detach().hidden.requires_grad


def test_saved_and_loaded_it_is_the_same_to_the_bit(tiny, tmp_path):
    save_student(tmp_path / "a.safetensors", tiny, {"step": 7})
    save_student(tmp_path / "b.safetensors", tiny, {"step": 7})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_student(tmp_path / "a.safetensors").eval()
    with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert loaded.options == TINY and json.loads(file.metadata()["student"])["about"] == {"step": 7}
    previous, current = crops(2)
    assert torch.equal(
        loaded(previous, current, loaded.initial_state(2)).action,
        tiny(previous, current, tiny.initial_state(2)).action,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


class Authors(nn.Module):
    """The released network's modules by their names, made of ours: torchvision's children are numbered."""

    def __init__(self, student):
        super().__init__()
        b = student.backbone
        inner = nn.Module()
        inner.cnn_features = nn.Sequential(
            b.conv1, b.bn1, nn.ReLU(), b.maxpool, b.layer1, b.layer2, b.layer3, b.layer4
        )
        self.cnn_features = inner
        self.fc, self.fc2, self.lstm = student.fc, student.fc2, student.lstm
        self.actor_policy, self.critic = student.actor, student.critic


def test_the_authors_checkpoint_is_read_by_their_names(paper, tmp_path):
    torch.save(
        {"model_state_dict": Authors(paper).state_dict(), "step": 120000}, tmp_path / "released.weights"
    )
    loaded = load_student(tmp_path / "released.weights").eval()
    assert loaded.options == StudentOptions()
    for name, value in paper.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_imagenet_weights_fit_by_torchvisions_names(paper, tmp_path):
    state = {**paper.backbone.state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "resnet18.pth")
    other = make_backbone("resnet18")
    load_imagenet(other, tmp_path / "resnet18.pth")
    assert isinstance(other, ResNet18) and torch.equal(
        other.layer4[1].conv2.weight, state["layer4.1.conv2.weight"]
    )
    with pytest.raises(ValueError, match="resnet18 alone"):
        load_imagenet(make_backbone("tiny"), tmp_path / "resnet18.pth")
    # A ResNet-34 has all that a ResNet-18 has, and more.
    deeper = state | {"layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)}
    torch.save(deeper, tmp_path / "resnet34.pth")
    with pytest.raises(DataError, match=r"does not fit ResNet18 \(1 unexpected: layer1\.2\.conv1\.weight"):
        load_imagenet(other, tmp_path / "resnet34.pth")


def test_imagenet_weights_that_cannot_be_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(url, path, hash_prefix):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(
        DataError, match=r"could not be downloaded \(Network is unreachable\).*give --imagenet FILE"
    ):
        load_imagenet(make_backbone("resnet18"))


def test_weights_of_another_network_are_refused(tiny, paper, tmp_path):
    save_student(tmp_path / "tiny.safetensors", tiny)
    state = safetensors.torch.load_file(tmp_path / "tiny.safetensors")

    def written(name, tensors, options):
        metadata = {"student": json.dumps({"options": options, "about": {}})}
        safetensors.torch.save_file(tensors, tmp_path / name, metadata)
        return tmp_path / name

    wide = {"backbone": "tiny", "width": 32, "crop_size": 32}
    cases = [
        (written("a.safetensors", state, wide), "does not fit Student.*fc2.weight"),
        (written("b.safetensors", state, {"backbone": "vgg"}), "does not know.*vgg"),
        (written("c.safetensors", state, {"depth": 3}), "does not know.*depth"),
        (
            written(
                "d.safetensors", {**state, "fc.bias": state["fc.bias"] * float("nan")}, wide | {"width": 16}
            ),
            "NaN",
        ),
        (tmp_path / "none.safetensors", "no such checkpoint"),
    ]
    safetensors.torch.save_file(state, tmp_path / "e.safetensors")
    cases.append((tmp_path / "e.safetensors", "does not say which student"))
    (tmp_path / "f.safetensors").write_bytes((tmp_path / "tiny.safetensors").read_bytes()[:-100])
    cases.append((tmp_path / "f.safetensors", "not a whole safetensors"))
    torch.save(make_backbone("resnet18").state_dict(), tmp_path / "resnet.pth")
    cases.append((tmp_path / "resnet.pth", "no checkpoint of the paper's authors.*conv1.weight"))
    cut = {k: v for k, v in Authors(paper).state_dict().items() if not k.startswith("critic")}
    torch.save(cut, tmp_path / "cut.weights")
    cases.append((tmp_path / "cut.weights", "2 missing: critic"))
    for path, message in cases:
        with pytest.raises(DataError, match=message):
            load_student(path)


def test_options_and_names_are_checked(tiny, tmp_path):
    with pytest.raises(ValueError, match="multiple of 32"):
        StudentOptions(crop_size=100)
    with pytest.raises(ValueError, match="context 0"):
        StudentOptions(context=0)
    with pytest.raises(ValueError, match="smallest_box inf"):
        StudentOptions(smallest_box=float("inf"))
    with pytest.raises(ValueError, match="none of resnet18, small, tiny"):
        Student(StudentOptions(backbone="vgg"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="safetensors file, not"):
        save_student(tmp_path / "x.pt", tiny)
    assert isinstance(tiny.initial_state(2), LSTMState)
