"""The process that holds TensorFlow's C++ runtime: `python -m redraw.serving.worker FD`.

It takes requests from the socket of the file descriptor and answers them one after the
other, until the other side is gone. Its standard output and error are the log.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from redraw.serving.library import StatusError, tensorflow_library
from redraw.serving.session import ModelSession
from redraw.serving.wire import receive, send

__all__: list[str] = []

_Arrays = dict[str, np.ndarray]
_Message = tuple[dict[str, Any], _Arrays]


class _Worker:
    def __init__(self) -> None:
        self._models: dict[int, ModelSession] = {}

    def answer(self, header: Mapping[str, Any], arrays: _Arrays) -> _Message:
        """Do what a request asks; what TensorFlow refuses becomes part of the answer."""
        commands: Mapping[str, Callable[[Mapping[str, Any], _Arrays], _Message]] = {
            "version": lambda *_: ({"version": tensorflow_library().TF_Version().decode()}, {}),
            "load": self._load,
            "answer": lambda h, a: ({}, self._models[h["model"]].answer(h["signature"], a)),
            "measure": lambda h, a: (
                {"took": self._models[h["model"]].measure(h["signature"], a, h["seconds"])},
                {},
            ),
            "variables": lambda h, _: ({"digests": self._models[h["model"]].digest_variables()}, {}),
            "close": self._close,
        }
        try:
            return commands[header["command"]](header, arrays)
        except StatusError as err:
            return {"error": {"code": err.code, "message": err.message}}, {}

    def _load(self, header: Mapping[str, Any], _: _Arrays) -> _Message:
        started = time.monotonic()
        self._models[header["model"]] = ModelSession(header["folder"], header["tags"])
        return {"seconds": time.monotonic() - started}, {}

    def _close(self, header: Mapping[str, Any], _: _Arrays) -> _Message:
        self._models.pop(header["model"]).close()
        return {}, {}


def _read_requests(connection: Connection, requests: queue.Queue[_Message]) -> None:
    try:
        while True:
            requests.put(receive(connection))
    except (EOFError, OSError):
        # The client is gone: nobody waits for the answer, even if TensorFlow is in the middle of one.
        os._exit(0)


def _main() -> None:
    connection = Connection(int(sys.argv[1]))
    requests: queue.Queue[_Message] = queue.Queue()
    threading.Thread(target=_read_requests, args=(connection, requests), daemon=True).start()
    worker = _Worker()
    while True:
        send(connection, *worker.answer(*requests.get()))


if __name__ == "__main__":
    _main()
