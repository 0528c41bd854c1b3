"""Machines that share no disk, one for each stage of a run, and the bytes that each stage moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.distributed.machines import Machine
from tests.publishing.faults import Fault, Kill
from tests.publishing.proxy import FaultyProxy

__all__ = ["Fleet"]


class Fleet:
    """Runs each stage on a new machine, and takes down the bytes that it moved.

    Args:
        folder: For all that is on the machines.
        proxy: Before the storage server.
        model: The definition's name.
        more: Other environment variables.

    Attributes:
        machines: Those so far.
        moved: Stage to the bytes that it fetched and sent.
    """

    def __init__(
        self, folder: Path, proxy: FaultyProxy, model: str, more: Mapping[str, str] | None = None
    ) -> None:
        self._folder, self._proxy, self._model, self._more = folder, proxy, model, more
        self.machines: list[Machine] = []
        self.moved: dict[str, tuple[int, int]] = {}

    def machine(self) -> Machine:
        """A new machine."""
        self.machines.append(Machine(self._folder / str(len(self.machines)), self._proxy.url, self._more))
        return self.machines[-1]

    def run(self, stage: str, may_delete: bool = False, **request: Any) -> dict[str, Any]:
        """Run a stage to its good end, with no more permissions than it needs; give its record."""
        granted = ("list", "get", "create", "delete") if may_delete else ("list", "get", "create")
        self._proxy.granted = frozenset(f"storage.objects.{name}" for name in granted)
        self._proxy.sent = self._proxy.fetched = 0
        record = self.machine().run(stage, {"model": self._model, **request})
        self.moved[stage] = (self._proxy.fetched, self._proxy.sent)
        return record

    def run_killed(self, fault: Callable[[Kill], Fault], stage: str, **request: Any) -> Machine:
        """Run a stage that is killed when the fault strikes."""
        running: list[Any] = []
        self._proxy.faults = [fault(Kill(function=lambda: running[0].kill()))]
        machine = self.machine()
        running.append(machine.start(stage, {"model": self._model, **request}))
        _, log = running[0].communicate(timeout=300)
        assert running[0].returncode == -9, log[-4000:]
        self._proxy.faults = []
        return machine
