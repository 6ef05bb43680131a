"""Messages between the project and a worker: JSON objects, one on a line.

Python's JSON keeps a float64 exactly and knows NaN, so that a box arrives as the tracker gave it; and unlike a
pickle it is the same for any two versions of Python.
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO, Dict  # noqa: UP035 - for the alias

Message = Dict[str, Any]  # noqa: UP006 - an alias is evaluated, by Python 3.8 too


def packed(message: Message) -> bytes:
    """A message as the line that is written."""
    return json.dumps(message).encode() + b"\n"


def unpacked(line: bytes) -> Message:
    """The message of a line."""
    message: Message = json.loads(line)
    return message


def send(stream: BinaryIO, message: Message) -> None:
    """Write a message and see it off."""
    stream.write(packed(message))
    stream.flush()


def receive(stream: BinaryIO) -> Message | None:
    """The next message, or None when the other side has gone."""
    line = stream.readline()
    return unpacked(line) if line.endswith(b"\n") else None
