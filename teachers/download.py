"""Files over HTTP: gone on with where they were cut, whole or not there at all."""

from __future__ import annotations

import html.parser
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urljoin

import requests

from datasets.errors import DataError

_LOG = logging.getLogger(__name__)

ATTEMPTS = 5
"""Connections in a row that bring nothing before it is given up."""

TIMEOUT = 30.0
"""Seconds without an answer, or without a byte."""

_BLOCK = 1 << 16
"""Bytes at a time; of a block that was cut nothing is kept."""

_PASSING = {408, 425, 429, 500, 502, 503, 504}

Progress = Callable[[int, int | None], None]
"""Called with the bytes there so far and the bytes in all, None where the server does not say."""


class _CutError(Exception):
    """The transfer ended before the file did; another one goes on."""


def download(
    address: str,
    part: Path,
    vouched: bool,
    progress: Progress = lambda _done, _total: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Download a file, going on with what an earlier call left.

    Args:
        address: Its address. Where the server answers with a page that asks for a confirmation, as Google
            Drive does for large files, it is given.
        part: Where to write. A file already there is taken as the beginning where the server's tag of it,
            kept beside it in `PART.tag`, is still the same, or `vouched`.
        vouched: Whether a checksum will tell afterwards that the parts belong together.
        progress: Told as it goes on.
        pause: Waits so many seconds between two attempts.

    Raises:
        DataError: If the server refuses it, answers with a page instead of a file, or breaks off again and
            again; what came so far is kept.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = _length(part)
        try:
            _transfer(address, part, vouched, progress)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            _CutError,
        ) as e:
            failures = 0 if _length(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise DataError(
                    part,
                    f"the download of {address} broke off {failures} times in a row ({_reason(e)})",
                    "Try again later: it goes on from here",
                ) from e
            wait = min(2.0**failures, 60.0)
            _LOG.warning("%s broke off (%s); trying again in %.0f s", address, _reason(e), wait)
            pause(wait)
        except requests.RequestException as e:  # an address that is none, a circle of redirections
            raise DataError(part, f"{address} cannot be had: {e}", "Look whether it moved") from e
        else:
            _tag(part).unlink(missing_ok=True)
            return


def _transfer(address: str, part: Path, vouched: bool, progress: Progress) -> None:
    """One connection, until the end of the file or of the connection."""
    done, tag = _length(part), _tag(part)
    headers = {"Accept-Encoding": "identity"}
    if done and (vouched or tag.is_file()):
        headers["Range"] = f"bytes={done}-"
        if tag.is_file():
            headers["If-Range"] = tag.read_text()
    with requests.Session() as session:
        answer = _file(session, address, part, headers)
        with answer:
            if answer.status_code == 416:  # nothing after what is there, which is therefore all, or too much
                if answer.headers.get("Content-Range") == f"bytes */{done}":
                    return
                part.unlink()
                raise _CutError(f"the server has no byte {done} of it; from the beginning again")
            going_on = answer.status_code == 206
            if going_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
                part.unlink()
                raise _CutError("the server sent another part than the one asked for")
            if not going_on:
                done = 0
                # Before the new tag is there, and even if none comes: the old bytes and the new are no one file.
                part.unlink(missing_ok=True)
                tag.unlink(missing_ok=True)
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length is not None else None
            if name := answer.headers.get("ETag", ""):
                # A weak tag does not promise equal bytes.
                tag.unlink(missing_ok=True) if name.startswith("W/") else tag.write_text(name)
            progress(done, total)
            with part.open("ab" if going_on else "wb") as file:
                for block in answer.iter_content(_BLOCK):
                    done += file.write(block)
                    progress(done, total)
    if total is not None and done != total:
        raise _CutError(f"{done} of {total} bytes came")


def _file(session: requests.Session, address: str, part: Path, headers: dict[str, str]) -> requests.Response:
    """Ask for the file, and once more where a page wants that confirmed."""
    answer = session.get(address, headers=headers, stream=True, timeout=TIMEOUT)
    if answer.ok and _is_page(answer):
        form = _Form(answer.text)
        if form.action is not None:
            confirmed = f"{urljoin(answer.url, form.action)}?{urlencode(form.fields)}"
            answer = session.get(confirmed, headers=headers, stream=True, timeout=TIMEOUT)
    if answer.status_code in _PASSING:
        raise _CutError(f"the server answered {answer.status_code} {answer.reason}")
    if not answer.ok and answer.status_code != 416:
        raise DataError(
            part, f"{address} cannot be had: {answer.status_code} {answer.reason}", "Look whether it moved"
        )
    if _is_page(answer):
        title = _Form(answer.text).title
        raise DataError(
            part,
            f"{address} gave a web page ({title!r}), not the file",
            "Open it in a browser to see what it wants",
        )
    return answer


def _is_page(answer: requests.Response) -> bool:
    return answer.headers.get("Content-Type", "").startswith("text/html")


class _Form(html.parser.HTMLParser):
    """The form of a page that asks for a confirmation: Google Drive's has the id `download-form`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.title = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self._inside = tag
        if tag == "form" and values.get("id") == "download-form":
            self.action = values.get("action")
        if tag == "input" and values.get("type") == "hidden" and self.action is not None:
            self.fields[values.get("name", "")] = values.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.title += data.strip()


def _reason(error: Exception) -> str:
    """What the operating system said, where it is inside; the libraries around it tell their own objects as well."""
    text = str(error)
    return text.rpartition("[Errno")[2].partition("] ")[2].rstrip("\"')") or text


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")
