"""Kill a command at one of its requests, and see what it leaves."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redraw.publish.passport.passport import PASSPORT_FILES
from redraw.storage.opening import open_storage
from tests.publishing.faults import Fault, Kill, Moment
from tests.publishing.processes import Command, Ended, Starter
from tests.publishing.proxy import FaultyProxy

__all__ = ["Killer", "contents", "left"]

# Times, and which write of an object it is.
_OTHER_EACH_TIME = re.compile(
    rb'(?<=_at": ")[^"]*Z(?=")|(?<="generations": )\{[^}]*\}|(?<="generation": )[0-9]+'
)
_PASSPORT = re.compile(rf"/reports/.*-({'|'.join(map(re.escape, PASSPORT_FILES))})$")
_RECORD = re.compile(r"/releases/[0-9]+\.json$")


@dataclass(frozen=True, kw_only=True)
class Killer:
    """Runs commands through the proxy, and kills them there."""

    proxy: FaultyProxy
    starter: Starter

    def run(self, arguments: Sequence[str]) -> Ended:
        """Run a command to its end, without a fault."""
        self.proxy.faults = []
        return self._start(arguments).wait()

    def kill_at(self, number: int, moment: Moment, arguments: Sequence[str]) -> bool:
        """Run a command and kill it at its request of a number; False if it ends before."""
        started, started_command = threading.Event(), list[Command]()

        def kill() -> None:
            assert started.wait(10)
            started_command[0].kill()

        self.proxy.requests.clear()
        self.proxy.faults = [Fault(action=Kill(function=kill), moment=moment, first=number)]
        command = self._start(arguments)
        started_command.append(command)
        started.set()
        ended = command.wait()
        assert ended.status in (0, -signal.SIGKILL), ended.stderr
        return ended.status != 0

    def _start(self, arguments: Sequence[str]) -> Command:
        return self.starter.start(arguments, {"STORAGE_EMULATOR_HOST": self.proxy.url})


def contents(place: str) -> dict[str, bytes]:
    """Every object below a gs:// URI with its bytes, but for what has to differ between two places.

    Passports say when and where they were made. Each must be what its record lists; one that a push left that
    was killed before the record is passed over.
    """
    read = _read(place)
    for name, content in read.items():
        if _RECORD.search(name):
            _demand_passports(json.loads(content), read)
    return {name: content for name, content in _comparable(place, read).items() if not _PASSPORT.search(name)}


def left(place: str) -> dict[str, bytes]:
    """The same of a place that a killed command left, with the names of all passports."""
    return _comparable(place, _read(place))


def _read(place: str) -> dict[str, bytes]:
    storage = open_storage(place)
    return {item.name: storage.read(item.name) or b"" for item in storage.list()}


def _demand_passports(record: dict[str, Any], read: dict[str, bytes]) -> None:
    for file in (record["attachments"].get(key) for key in PASSPORT_FILES):
        if file:
            content = read.get(file["name"])
            there = content is not None and hashlib.sha256(content).hexdigest() == file["sha256"]
            assert there == (record["pruned"] is None), file["name"]


def _comparable(place: str, read: dict[str, bytes]) -> dict[str, bytes]:
    kept = {name: b"" if _PASSPORT.search(name) else content for name, content in read.items()}
    for name in filter(_RECORD.search, read):
        record = json.loads(read[name])
        for key in PASSPORT_FILES:
            if record["attachments"].get(key):
                record["attachments"][key] = {}
        kept[name] = json.dumps(record, indent=2, sort_keys=True).encode()
    return {
        name: _OTHER_EACH_TIME.sub(b"", content.replace(place.encode(), b"PLACE"))
        for name, content in kept.items()
    }
