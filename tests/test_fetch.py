"""`python -m teachers fetch`, against a server of this machine that misbehaves in known ways."""

import hashlib
import json
import re
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import REPOSITORY
from pydantic import FilePath

from datasets.command_line import run_command
from datasets.errors import DataError
from teachers import checkpoints, download, fetch_command, listing, registry
from teachers.__main__ import COMMANDS
from teachers.checkpoints import Checkpoint
from teachers.eco.deep.network import TwoNetworks
from teachers.fetch_command import fetch
from teachers.mdnet.network import Network
from teachers.options import TeacherConfigError
from teachers.siamrpn.variants import VARIANTS

CONTENT = bytes(range(256)) * 4096
BLOCK = download._BLOCK


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; the server's attributes say what goes wrong, and keep what was asked for."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        if server.busy:
            server.busy -= 1
            self.send_error(503)
            return
        if self.path.startswith("/circle"):
            self.send_response(302)
            self.send_header("Location", "/circle")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path.startswith("/drive") and "confirm=yes" not in self.path:
            self._page(
                '<title>Virus scan warning</title><form id="download-form" action="/drive" method="get">'
                '<input type="hidden" name="id" value="a&amp;b"><input type="hidden" name="confirm" value="yes">'
                "</form>"
            )
            return
        if self.path.startswith("/page"):
            self._page("<html><title>Quota exceeded</title></html>")
            return
        begin = 0
        asked = self.headers.get("Range")
        if asked and server.ranges and self.headers.get("If-Range") in (None, server.tag):
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        end = len(CONTENT)
        if server.cuts:
            end = min(end, begin + server.cuts.pop(0))
        self.wfile.write(CONTENT[begin:end])

    def _page(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.asked, served.cuts, served.busy, served.ranges, served.tag = [], [], 0, True, '"one"'
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.address = f"http://127.0.0.1:{served.server_port}"
    # Nobody waits between two attempts in a test.
    monkeypatch.setattr(
        download.download, "__defaults__", (*download.download.__defaults__[:1], lambda _s: None)
    )
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path / "weights"))
    return tmp_path / "weights"


def checkpoint(server, path="/file", **changes):
    facts = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}
    address = f"{server.address}{path}" if path else None
    told = {"licence": "MIT", "paper": "", "page": "https://example.org/page", "address": address}
    return Checkpoint("net", "net.onnx", teacher="vit", option="net", **told, **{**facts, **changes})


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_once(server, folder):
    assert fetch(checkpoint(server)) == "fetched"
    assert (folder / "net.onnx").read_bytes() == CONTENT
    assert names(folder) == ["net.onnx"]
    assert fetch(checkpoint(server)) == "there"
    assert server.asked == [("/file", None)]


def test_a_cut_connection_is_gone_on_with(server, folder):
    server.cuts = [5 * BLOCK, 0, 4 * BLOCK + 1]
    assert fetch(checkpoint(server)) == "fetched"
    assert (folder / "net.onnx").read_bytes() == CONTENT
    begins = [asked for _, asked in server.asked]
    assert begins == [None, *(f"bytes={blocks * BLOCK}-" for blocks in (5, 5, 9))]
    assert names(folder) == ["net.onnx"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server, folder):
    server.cuts = [6 * BLOCK] + [0] * download.ATTEMPTS
    with pytest.raises(DataError, match=r"broke off 5 times in a row.*goes on from here.*by hand"):
        fetch(checkpoint(server))
    assert names(folder) == ["net.onnx.part", "net.onnx.part.tag"]
    server.asked.clear()
    assert fetch(checkpoint(server)) == "fetched"
    assert server.asked == [("/file", f"bytes={6 * BLOCK}-")]
    assert (folder / "net.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize("vouched", [True, False])
def test_what_the_server_does_not_vouch_for_is_begun_again_unless_a_checksum_does(server, folder, vouched):
    server.tag = ""
    server.cuts = [6 * BLOCK]
    known = {} if vouched else {"sha256": None}
    assert fetch(checkpoint(server, **known)) == "fetched"
    assert server.asked[1] == ("/file", f"bytes={6 * BLOCK}-" if vouched else None)
    assert (folder / "net.onnx").read_bytes() == CONTENT


def test_another_file_under_the_same_address_is_begun_again(server, folder):
    folder.mkdir()
    (folder / "net.onnx.part").write_bytes(b"old" * 1000)
    (folder / "net.onnx.part.tag").write_text('"of yesterday"')
    assert fetch(checkpoint(server, sha256=None)) == "fetched"
    assert (folder / "net.onnx").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_whole_again(server, folder):
    server.ranges = False
    server.cuts = [5 * BLOCK]
    assert fetch(checkpoint(server)) == "fetched"
    assert (folder / "net.onnx").read_bytes() == CONTENT


def test_a_part_that_is_all_of_it_needs_nothing_more(server, folder):
    folder.mkdir()
    (folder / "net.onnx.part").write_bytes(CONTENT)
    assert fetch(checkpoint(server)) == "fetched"
    assert (folder / "net.onnx").read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_begun_again(server, folder):
    folder.mkdir()
    (folder / "net.onnx.part").write_bytes(CONTENT + b"more")
    assert fetch(checkpoint(server)) == "fetched"
    assert (folder / "net.onnx").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, folder):
    server.busy = 2
    assert fetch(checkpoint(server)) == "fetched"
    assert len(server.asked) == 3


def test_a_confirmation_is_given_as_google_drive_wants_it(server, folder):
    assert fetch(checkpoint(server, "/drive?id=1")) == "fetched"
    assert [path for path, _ in server.asked] == ["/drive?id=1", "/drive?id=a%26b&confirm=yes"]
    assert (folder / "net.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "said"), [("/gone", "404 Not Found"), ("/page", "a web page .'Quota exceeded'.")]
)
def test_a_refusal_says_what_to_do_and_is_not_repeated(server, folder, path, said):
    with pytest.raises(DataError, match=rf"{said}.*by hand \(https://example\.org/page\) to .*net\.onnx"):
        fetch(checkpoint(server, path))
    assert len(server.asked) == 1
    assert names(folder) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("{server}/circle", "circle cannot be had: Exceeded 30 redirects"),
        ("drive/net.onnx", "drive/net.onnx cannot be had: Invalid URL"),
        ("http://127.0.0.1:1/net.onnx", "broke off 5 times in a row .Connection refused.. Try again later"),
    ],
)
def test_an_address_that_leads_nowhere(server, folder, address, said, caplog):
    wrong = replace(checkpoint(server), address=address.format(server=server.address))
    with pytest.raises(DataError, match=rf"{said}.*by hand \(https://example\.org/page\) to .*net\.onnx"):
        fetch(wrong)
    assert names(folder) == []
    waits = [record.getMessage().rpartition("; ")[2] for record in caplog.records]
    assert waits in ([], [f"trying again in {n} s" for n in (2, 4, 8, 16)])


@pytest.mark.parametrize("place", ["a_file", "a_file/inside", "/proc/weights"])
def test_a_folder_that_cannot_be_written_is_named_with_a_way_out(server, tmp_path, place):
    (tmp_path / "a_file").write_text("")
    with pytest.raises(
        DataError, match=r"net\.onnx: it cannot be written \(.*set TEACHER_WEIGHTS, or give --to"
    ):
        fetch(checkpoint(server), tmp_path / place)
    assert server.asked == []


def test_a_disk_that_takes_no_more_is_an_error_of_one_line(server, folder):
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * BLOCK, most[1]))
    try:
        with pytest.raises(
            DataError, match=r"net\.onnx: it cannot be written \(File too large\).*that has room"
        ):
            fetch(checkpoint(server))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert names(folder)[0] == "net.onnx.part"
    assert fetch(checkpoint(server)) == "fetched"
    assert [begin for _, begin in server.asked] == [None, f"bytes={2 * BLOCK}-"]


def test_what_is_there_is_found_in_a_folder_that_is_read_only(server, folder):
    folder.mkdir()
    (folder / "net.onnx").write_bytes(CONTENT)
    assert fetch(checkpoint(server)) == "there"
    assert [path.name for path in folder.iterdir()] == ["net.onnx"]  # no lock either


def test_a_tag_does_not_outlive_the_bytes_that_it_was_for(server, folder):
    server.cuts = [3 * BLOCK] + [0] * 5
    with pytest.raises(DataError, match="broke off"):
        fetch(checkpoint(server, sha256=None))
    assert names(folder) == ["net.onnx.part", "net.onnx.part.tag"]
    server.tag, server.cuts = None, [2 * BLOCK] + [0] * 5
    with pytest.raises(DataError, match="broke off"):
        fetch(checkpoint(server, sha256=None))
    assert "net.onnx.part.tag" not in names(folder)
    server.tag, server.cuts = 'W/"one"', [2 * BLOCK] + [0] * 5  # which promises no equal bytes
    with pytest.raises(DataError, match="broke off"):
        fetch(checkpoint(server, sha256=None))
    assert "net.onnx.part.tag" not in names(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, "its sha256 is [0-9a-f]{64}, and that of net is 0{64}"),
        ({"git_blob": "0" * 40}, "its git_blob is"),
        ({"size": 7}, f"it has {len(CONTENT)} bytes, and net has 7"),
        (
            {"size": None, "sha256": None, "least": len(CONTENT) + 1},
            f"it has {len(CONTENT)} bytes, and net has more than {len(CONTENT) + 1}",
        ),
    ],
)
def test_what_is_not_the_checkpoint_is_neither_kept_nor_taken(server, folder, changes, said):
    with pytest.raises(DataError, match=said):
        fetch(checkpoint(server, **changes))
    assert names(folder) == []
    (folder / "net.onnx").write_bytes(CONTENT)
    with pytest.raises(DataError, match=said):
        fetch(checkpoint(server, **changes))


def test_gits_id_of_a_file_is_what_git_says(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    assert checkpoints._digest(path, "git_blob") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_file_put_there_by_hand_is_taken(server, folder):
    folder.mkdir()
    (folder / "net.onnx").write_bytes(CONTENT)
    assert fetch(checkpoint(server, path=None)) == "there"
    (folder / "net.onnx").unlink()
    assert fetch(checkpoint(server, path=None)) == "by hand"
    assert not server.asked


@pytest.fixture
def listed(server, monkeypatch):
    """A list of checkpoints of which one can be fetched and one has to be put there by hand."""
    entries = {
        "net": checkpoint(server),
        "manual": Checkpoint("manual", "m.pth", "https://example.org/m", "mdnet", "weights", "MIT", ""),
    }
    for module in (checkpoints, fetch_command):
        monkeypatch.setattr(module, "known", lambda: entries)
    return entries


def program(*arguments):
    return run_command(COMMANDS, "python -m teachers", args=["fetch", *arguments])


def test_the_program_fetches_by_checkpoint_and_by_teacher(listed, folder, tmp_path, capsys):
    assert program("net", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {"name": "net", "path": str(folder / "net.onnx"), "state": "fetched"}
    ]
    assert program("vit", "--to", str(tmp_path / "else")) == 0
    assert (tmp_path / "else" / "net.onnx").read_bytes() == CONTENT
    assert program("mdnet") == 1
    assert (
        f"m.pth by hand from https://example.org/m and put it at {folder / 'm.pth'}"
        in capsys.readouterr().err
    )
    assert program("--list", "--json") == 0
    assert [row["there"] for row in json.loads(capsys.readouterr().out)] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nett"], "no checkpoint is known by the name 'nett'"),
        ([], "name a checkpoint"),
        (["kcf"], "nor any for a teacher of it"),
    ],
)
def test_the_program_refuses_what_there_is_not(listed, folder, capsys, arguments, said):
    assert program(*arguments) == 2
    assert said in capsys.readouterr().err


def test_a_teacher_finds_what_was_fetched(listed, folder):
    with pytest.raises(TeacherConfigError, match=r"net .the path of a file. has to be given.*fetch net"):
        registry.validate("vit", {})
    with pytest.raises(TeacherConfigError, match=r"net = 'net': this checkpoint is not at .*fetch net"):
        registry.validate("vit", {"net": "net"})
    fetch(listed["net"])
    for options in ({}, {"net": "net"}):
        assert registry.completed_options("vit", options) == {"net": str(folder / "net.onnx")}
        registry.validate("vit", options)
    assert registry.completed_options("vit", {"net": "own.onnx"}) == {"net": "own.onnx"}
    (folder / "net.onnx").write_bytes(b"other")
    with pytest.raises(DataError, match="it has 5 bytes"):
        registry.validate("vit", {})


class Optional:
    """A teacher that has weights of its own."""

    version = 1
    needs_images = True

    def __init__(
        self, weights: FilePath | None = None, variant: str | None = None, network: Path = Path()
    ) -> None:
        self.weights, self.network = weights, network

    def start(self, image, box, task):
        return box

    def track(self, image):
        return None


def test_a_teacher_with_weights_of_its_own_takes_others_where_they_are_chosen(folder, monkeypatch):
    told = {"page": "", "teacher": "test_fetch:Optional", "option": "weights", "licence": "", "paper": ""}
    entries = {
        "plain": Checkpoint("plain", "plain.pth", **told),
        "large": Checkpoint("large", "large.pth", choose={"variant": "large"}, **told),
        "later": Checkpoint("later", "later.pth", choose={"variant": "large"}, **told),
    }
    monkeypatch.setattr(checkpoints, "known", lambda: entries)
    folder.mkdir()
    for entry in entries.values():
        entry.path().touch()

    def weights(**options):
        return registry.completed_options("test_fetch:Optional", options).get("weights")

    assert weights() is None
    assert weights(variant="small") is None
    assert weights(variant="large") == str(folder / "large.pth")
    assert weights(variant="large", weights="own.pth") == "own.pth"
    assert weights(weights="plain") == str(folder / "plain.pth")
    assert registry.create("test_fetch:Optional", {"weights": "plain"}).weights == folder / "plain.pth"
    assert registry.create("test_fetch:Optional", {"network": "plain"}).network == folder / "plain.pth"
    assert checkpoints.of_teacher("test_fetch:Optional") == [entries["plain"]]
    monkeypatch.chdir(folder)
    Path("plain").touch()
    assert weights(weights="plain") == "plain"  # the user's own file


def test_the_folder_may_be_named_from_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(checkpoints.VARIABLE, "~/weights")
    assert checkpoints.folder() == tmp_path / "weights"


def test_nanotrack_runs_with_the_files_that_its_entries_describe(folder, real_data, small_videos):
    folder.mkdir()
    for name, file in (("backbone", "nanotrack_backbone_sim.onnx"), ("head", "nanotrack_head_sim.onnx")):
        content = (real_data / "weights" / "nanotrack_v2_onnx" / file).read_bytes()
        (folder / f"nanotrackv2_{name}_sim.onnx").write_bytes(content)
    assert fetch(checkpoints.known()["nanotrackv2_backbone"]) == "there"
    assert fetch(checkpoints.known()["nanotrackv2_head"]) == "there"
    assert registry.create("nano", {}).needs_images
    (shown,) = listing.describe(["nano"])
    assert shown.state == "ready"


def test_every_entry_serves_an_option_that_there_is(tmp_path):
    files = [c.file for c in checkpoints.known().values()]
    assert len(set(files)) == len(files)
    for entry in checkpoints.known().values():
        assert entry.page.startswith("https://")
        assert entry.address is None or entry.address.startswith("https://")
        if entry.teacher in registry.names():
            (shown,) = listing.describe([entry.teacher], options=True)
            assert any(option.startswith(f"{entry.option}:") for option in shown.options), entry.name


def test_an_entry_says_how_large_its_file_is_or_at_least():
    networks = {"mdnet": Network, "eco-deep": TwoNetworks}
    for entry in checkpoints.known().values():
        assert (entry.size is None) != (entry.least is None), entry.name
        if entry.teacher == "siamrpn":
            network = VARIANTS[entry.choose["variant"]].build()
        elif entry.teacher in networks:
            network = networks[entry.teacher]()
        else:
            continue  # of a checkout, or an ONNX file
        numbers = network.state_dict().values()
        assert entry.least == sum(n.numel() * n.element_size() for n in numbers), entry.name


def test_a_list_that_is_broken_is_named(tmp_path):
    for text in ("[net", '[net]\nfile = "a"\n'):
        path = tmp_path / f"{len(text)}.toml"
        path.write_text(text)
        with pytest.raises(DataError, match=r"\.toml: is no list of checkpoints"):
            checkpoints.known(path)


def test_the_list_comes_with_the_package():
    shown = subprocess.run(
        [sys.executable, "-m", "teachers", "fetch", "--list"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert re.fullmatch(
        r"siamrpn_alex_dwxcorr +siamrpn weights +over 25 MB +(fetch|there) +CC-BY-SA-3\.0",
        lines["siamrpn_alex_dwxcorr"].strip(),
    )
    assert " 47.2 MB " in lines["dasiamrpn_onnx_kernel_r1"]
    assert "by hand" in lines["dasiamrpn_vot"]
