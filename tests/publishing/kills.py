"""Kill a command at one request after the other, and run it again each time."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from redraw.publish.passport.passport import PASSPORT_FILES
from redraw.storage.opening import open_storage
from tests.publishing.faults import Fault, Kill, Moment
from tests.publishing.processes import Command, Ended, Starter
from tests.publishing.proxy import FaultyProxy

__all__ = ["Killer", "contents"]

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

    def walk(
        self, moment: Moment, prepare: Callable[[int], Sequence[str]]
    ) -> Iterator[tuple[int, Sequence[str]]]:
        """Kill a command at its first request, the next one at its second, until one ends alive.

        Args:
            moment: How far the request has come when its sender dies.
            prepare: Makes the command for a number; each in a place of its own.

        Yields:
            The number and the command, which was killed there.
        """
        number = 1
        while self.kill_at(number, moment, arguments := prepare(number)):
            yield number, arguments
            number += 1

    def _start(self, arguments: Sequence[str]) -> Command:
        return self.starter.start(arguments, {"STORAGE_EMULATOR_HOST": self.proxy.url})


def contents(place: str) -> dict[str, bytes]:
    """Every object below a gs:// URI with its bytes, but for what has to differ between two places."""
    storage = open_storage(place)
    read = _without_passports({item.name: storage.read(item.name) or b"" for item in storage.list()})
    return {
        name: _OTHER_EACH_TIME.sub(b"", content.replace(place.encode(), b"PLACE"))
        for name, content in read.items()
    }


def _without_passports(read: dict[str, bytes]) -> dict[str, bytes]:
    """The same with passports, which say when and where they were made, as names without content.

    Each is what its record lists; one that a push left that was killed before the record is passed over.
    """
    kept = {name: content for name, content in read.items() if not _PASSPORT.search(name)}
    for name in [name for name in kept if _RECORD.search(name)]:
        record = json.loads(kept[name])
        for key in PASSPORT_FILES:
            if file := record["attachments"].get(key):
                content = read.get(file["name"])
                there = content is not None and hashlib.sha256(content).hexdigest() == file["sha256"]
                assert there == (record["pruned"] is None), file["name"]
                record["attachments"][key] = {}
        kept[name] = json.dumps(record, indent=2, sort_keys=True).encode()
    return kept
