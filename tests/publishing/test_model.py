"""A model of the protocol: whatever order things happen in, what is served is whole and what people chose.

Pushes, moves, roll-backs, prunes, mirrors and recoveries, each of them stopped after any write, the loss of
any single control object, and clocks that differ, in orders that hypothesis makes up. They run in this
process, on a folder that keeps the promises of a bucket. `REDRAW_MODEL_EXAMPLES` says how many are tried.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import redraw.publish.live.loading
import redraw.publish.live.set_live
import redraw.publish.mirror
import redraw.publish.prune.prune
import redraw.publish.prune.removal
import redraw.publish.push.push
import redraw.publish.push.release
import redraw.publish.recover
from redraw.errors import ObjectConflict, RedrawError, VersionNotFound
from redraw.publish.bucket.integrity import demand_published
from redraw.publish.live.pointer import read_pointer
from redraw.publish.live.serving_config import read_served_labels
from redraw.publish.live.set_live import change_live
from redraw.publish.mirror import mirror_versions
from redraw.publish.prune.prune import prune_versions
from redraw.publish.push.push import push_model
from redraw.publish.recover import recover_pointer
from redraw.records import ExportedModel, ValidationReport
from redraw.requests import LiveRequest, MirrorRequest, PruneRequest, PushRequest, RecoverRequest
from redraw.storage.interface import StoredObject
from redraw.storage.local import LocalStorage
from redraw.uri import BucketUri
from tests.publishing.exports import write_export

_BUCKET = "gs://models"
_FILES = {"variables/variables.index": b"index", "saved_model.pb": b"graph"}
_DAYS = tuple(f"2024-05-0{day}T00:00:00Z" for day in range(1, 5))
_NOW_IN = (
    redraw.publish.live.set_live,
    redraw.publish.prune.removal,
    redraw.publish.push.push,
    redraw.publish.push.release,
)
_OPEN_IN = (
    redraw.publish.live.set_live,
    redraw.publish.prune.prune,
    redraw.publish.recover,
    redraw.publish.mirror,
)


class _Stopped(Exception):  # noqa: N818 - a process that was killed
    pass


class _Folder(LocalStorage):
    """A folder as a bucket: its listings have checksums, and writes can be cut off."""

    left: int | None = None

    @property
    def uri(self) -> BucketUri:
        return BucketUri(_BUCKET)

    def list(self, prefix: str = "") -> list[StoredObject]:
        return [found for item in super().list(prefix) if (found := self.stat(item.name)) is not None]

    def walk(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        yield from self.list(prefix)

    def create(self, name: str, *arguments: Any) -> StoredObject:
        self._spend()
        return super().create(name, *arguments)

    def replace(self, name: str, data: bytes, generation: int) -> StoredObject:
        self._spend()
        return super().replace(name, data, generation)

    def delete(self, name: str, generation: int) -> None:
        self._spend()
        super().delete(name, generation)

    def _spend(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise _Stopped
            self.left -= 1


_STOP = st.one_of(st.none(), st.integers(min_value=0, max_value=14))
_DAY = st.sampled_from(range(len(_DAYS)))


class Protocol(RuleBasedStateMachine):
    """What happens to one model's bucket; `chosen` is what people have made live, None before."""

    def __init__(self) -> None:
        super().__init__()
        self._leaving = contextlib.ExitStack()
        self._root = Path(self._leaving.enter_context(tempfile.TemporaryDirectory()))
        patch = self._leaving.enter_context(pytest.MonkeyPatch.context())
        self._storage = _Folder(self._root / "bucket")
        for module in _OPEN_IN:
            patch.setattr(module, "open_storage", lambda _: self._storage)
        for module in _NOW_IN:
            patch.setattr(module, "now", self._now)
        patch.setattr(redraw.publish.live.loading, "demand_loadable", lambda *_: None)
        self._skew = timedelta()
        self.chosen: set[int | None] = {None}
        self.lost = False

    def teardown(self) -> None:
        self._leaving.close()

    def _now(self) -> str:
        return f"{datetime.now(UTC) + self._skew:%Y-%m-%dT%H:%M:%SZ}"

    @initialize()
    def export(self) -> None:
        """One export for each day."""
        exports = [
            write_export(self._root / day[:10], _FILES | {"saved_model.pb": day.encode()}, day)
            for day in _DAYS
        ]
        self._requests = []
        for export in exports:
            record, report = (Path(f"{export.folder}{end}").read_bytes() for end in (".json", ".report.json"))
            self._requests.append(
                {
                    "saved_model": ExportedModel.from_text(record, "record"),
                    "report": ValidationReport.from_text(report, "report"),
                }
            )

    def _run(self, stop: int | None, function: Callable[[], object]) -> bool:
        """Run a command, which may be refused, or killed after some writes; says whether it succeeded."""
        self._storage.left = stop
        try:
            function()
        except (RedrawError, _Stopped):
            return False
        finally:
            self._storage.left = None
        return True

    def _move(self, stop: int | None, function: Callable[[], object]) -> None:
        """A command that moves the pointer: what it was to become counts once it has moved."""
        before = set(self.chosen)
        ended = self._run(stop, function)
        after = read_pointer(self._storage, "digits").version
        self.chosen = {after} if ended or after not in before else before

    @rule(day=_DAY, make_live=st.booleans(), stop=_STOP)
    def push(self, day: int, make_live: bool, stop: int | None) -> None:
        """Never makes older weights live, nor what people rolled back from."""
        request = PushRequest(model="digits", bucket=_BUCKET, make_live=make_live, **self._requests[day])
        before = max((version for version in self.chosen if version is not None), default=0)
        self._move(stop, lambda: push_model(request, self._storage))
        assert max((version for version in self.chosen if version is not None), default=0) >= before

    @rule(day=_DAY, revision=st.sampled_from((0, 1)), stop=_STOP)
    def set_live(self, day: int, revision: int, stop: int | None) -> None:
        """People choose, and say why."""
        version = int(_DAYS[day][:10].replace("-", "") + f"000000{revision:02d}")
        why = {"allow_older": "a test", "allow_rejected": "a test"}
        request = LiveRequest(model="digits", bucket=_BUCKET, set=version, **why)
        self._move(stop, lambda: change_live(request))

    @rule(stop=_STOP)
    def roll_back(self, stop: int | None) -> None:
        """From the version that people see; tried again it goes no further."""
        pointer = read_pointer(self._storage, "digits")
        if pointer.version is None or pointer.previous is None:
            return
        request = LiveRequest(
            model="digits", bucket=_BUCKET, previous=True, from_version=pointer.version, reason="a test"
        )
        self._move(stop, lambda: change_live(request))
        if self._run(None, lambda: change_live(request)):
            self.chosen = {pointer.previous}

    @rule(keep=st.integers(min_value=0, max_value=2), stop=_STOP)
    def prune(self, keep: int, stop: int | None) -> None:
        """Removes nothing that is served."""
        request = PruneRequest(model="digits", bucket=_BUCKET, keep=keep, apply=True)
        self._run(stop, lambda: prune_versions(request))

    @rule(stop=_STOP)
    def mirror(self, stop: int | None) -> None:
        """What the mirror serves is whole, and what was chosen."""
        out = self._root / "mirror"
        if self._run(
            stop, lambda: mirror_versions(MirrorRequest(bucket=_BUCKET, out=str(out), model=("digits",)))
        ):
            for version in self.chosen - {None}:
                assert (out / f"digits/{version}/saved_model.pb").read_bytes() == _day_of(version)

    @rule(hours=st.integers(min_value=-48, max_value=48))
    def skew_the_clock(self, hours: int) -> None:
        """The next commands run on a machine whose clock is wrong."""
        self._skew = timedelta(hours=hours)

    @precondition(lambda self: not self.lost)
    @rule(which=st.sampled_from(("live.json", "models.config", "live/", "releases/index.json")))
    def lose(self, which: str) -> None:
        """One control object is gone, the newest of several. What was stopped before has been looked at."""
        self._run(None, lambda: change_live(LiveRequest(model="digits", bucket=_BUCKET)))
        found = self._storage.list(f"digits/{which}")
        if found:
            self._storage.delete(found[-1].name, found[-1].generation)
            self.lost = True

    @rule()
    def recover(self) -> None:
        """Puts back what is lost."""
        try:
            recover_pointer(RecoverRequest(model="digits", bucket=_BUCKET, apply=True))
        except (VersionNotFound, ObjectConflict):
            assert self.chosen == {None}
        else:
            self.lost = False
            (chosen,) = self.chosen = {read_pointer(self._storage, "digits").version} & self.chosen
            labels = read_served_labels(self._storage, "digits")
            assert labels.get("stable") == chosen

    @invariant()
    def the_pointer_says_what_people_chose(self) -> None:
        """Also while one control object is lost."""
        version = read_pointer(self._storage, "digits").version
        assert version in self.chosen
        if version is not None:
            demand_published(self._storage, "digits", version)

    @invariant()
    def what_servers_are_told_to_load_is_whole(self) -> None:
        """Whatever was stopped."""
        for version in read_served_labels(self._storage, "digits").values():
            demand_published(self._storage, "digits", version)

    @invariant()
    def nothing_is_loadable_and_incomplete(self) -> None:
        """A graph is there only with everything that it needs."""
        for item in self._storage.list("digits/2"):
            if item.name.endswith("/saved_model.pb"):
                assert (
                    self._storage.stat(f"{item.name.rpartition('/')[0]}/variables/variables.index")
                    is not None
                )


def _day_of(version: int | None) -> bytes:
    return next(day for day in _DAYS if str(version).startswith(day[:10].replace("-", ""))).encode()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of lines that nobody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet")
class TestProtocol(Protocol.TestCase):  # type: ignore[name-defined,misc]
    """The model, for as many orders of events as are asked for."""

    settings = settings(
        max_examples=int(os.environ.get("REDRAW_MODEL_EXAMPLES", "12")),
        stateful_step_count=14,
        deadline=None,
        derandomize="REDRAW_MODEL_EXAMPLES" not in os.environ,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
