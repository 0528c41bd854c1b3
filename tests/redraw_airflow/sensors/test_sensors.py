from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from google.auth.transport.requests import AuthorizedSession

from redraw.checkpoint.catalogue.store import folder_name, read_record
from redraw.errors import StorageUnavailable
from redraw.publish.releases import list_releases
from redraw.records import Checkpoint
from redraw.requests import ReleasesRequest
from redraw.storage.opening import Storage, open_storage
from redraw_airflow.sensors import CheckpointSensor, LiveVersionSensor, NewVersionSensor
from redraw_airflow.sensors.events import Seen, look
from redraw_airflow.sensors.triggers import BucketTrigger, CheckpointArrived
from tests.publishing.exports import write_export

CONTEXT: Any = {"ti": SimpleNamespace(map_index=-1)}
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, bucket: str, gcs_server: str) -> None:
    """The connection to the buckets, as Airflow finds it in the environment."""
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", bucket)


@pytest.fixture
def add_checkpoint(bucket: str) -> Callable[[int, str], Checkpoint]:
    """Puts a checkpoint's record into a catalogue."""

    def add(step: int, trained_at: str) -> Checkpoint:
        digest = f"{step:064x}"
        folder = f"{bucket}/catalogue/digits/{folder_name(step, digest)}"
        record = Checkpoint(
            model="digits",
            uri=folder,
            prefix="ckpt",
            format="tensor_bundle",
            step=step,
            trained_at=trained_at,
            digest=digest,
            size_bytes=1,
        )
        name = f"{folder.removeprefix(bucket + '/')}/record.json"
        open_storage(bucket).create(name, json.dumps(record.to_json(), allow_nan=False).encode())
        return record

    return add


def sensor(bucket: str, **arguments: Any) -> CheckpointSensor:
    return CheckpointSensor(
        **{"task_id": "wait", "model": "digits", "catalogue": f"{bucket}/catalogue", **arguments}
    )


def test_checkpoint_sensor_returns_the_newest_weights_after_a_time(
    bucket: str, add_checkpoint: Callable[[int, str], Checkpoint]
) -> None:
    assert not sensor(bucket).poke(CONTEXT).is_done
    old, new = add_checkpoint(200, EARLY), add_checkpoint(100, LATE)

    assert sensor(bucket).execute(CONTEXT) == new.to_json()
    assert sensor(bucket, after="2025-12-31 23:59:59+00:00").poke(CONTEXT).xcom_value == new.to_json()
    assert not sensor(bucket, after=LATE).poke(CONTEXT).is_done
    assert old.trained_at < new.trained_at


def test_deferrable_sensor_waits_in_its_trigger_until_the_checkpoint_is_there(
    bucket: str, add_checkpoint: Callable[[int, str], Checkpoint]
) -> None:
    waiting = sensor(bucket, deferrable=True, poke_interval=0.01, timeout=3600)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(CONTEXT)
    path, arguments = deferred.value.trigger.serialize()
    trigger = BucketTrigger(**json.loads(json.dumps(arguments, allow_nan=False)))
    assert path == "redraw_airflow.sensors.triggers.BucketTrigger"
    assert deferred.value.timeout is not None

    async def wait() -> Any:
        running = asyncio.create_task(anext(trigger.run()))
        await asyncio.sleep(0.05)
        assert not running.done()
        record = await asyncio.to_thread(add_checkpoint, 100, EARLY)
        return record, await asyncio.wait_for(running, 60)

    record, event = asyncio.run(wait())
    assert waiting.take_event(CONTEXT, event.payload) == record.to_json()


def test_deferrable_sensor_of_what_is_there_needs_no_trigger(
    bucket: str, add_checkpoint: Callable[[int, str], Checkpoint]
) -> None:
    record = add_checkpoint(100, EARLY)

    assert sensor(bucket, deferrable=True).execute(CONTEXT) == record.to_json()


def test_watcher_has_an_event_for_each_checkpoint_once(
    bucket: str, add_checkpoint: Callable[[int, str], Checkpoint]
) -> None:
    first = add_checkpoint(100, EARLY)
    watcher = CheckpointArrived(
        model="digits", catalogue=f"{bucket}/catalogue", after="2025-01-01T00:00:00Z", seconds=0.01
    )

    async def watch() -> list[Any]:
        events = watcher.run()
        seen = [await anext(events)]
        waiting = asyncio.create_task(cast(Any, anext(events)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.to_thread(add_checkpoint, 200, LATE)
        seen.append(await asyncio.wait_for(waiting, 60))
        # An old one that is adopted later, and one of the same second.
        await asyncio.to_thread(add_checkpoint, 50, "2025-06-01T00:00:00Z")
        seen.append(await asyncio.wait_for(cast(Any, anext(events)), 60))
        await asyncio.to_thread(add_checkpoint, 300, LATE)
        seen.append(await asyncio.wait_for(cast(Any, anext(events)), 60))
        return [event.payload["records"][0]["step"] for event in seen]

    assert asyncio.run(watch()) == [first.step, 200, 50, 300]


def test_watcher_outlives_a_connection_that_refuses_for_a_while(
    bucket: str, add_checkpoint: Callable[[int, str], Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_checkpoint(100, EARLY)
    arguments = {"model": "digits", "catalogue": f"{bucket}/catalogue", "after": "2025-01-01T00:00:00Z"}
    watcher = CheckpointArrived(**arguments, gcp_conn_id="late", seconds=0.01)

    async def watch() -> Any:
        waiting = asyncio.create_task(cast(Any, anext(watcher.run())))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
        monkeypatch.setenv("AIRFLOW_CONN_LATE", json.dumps(connection))
        return (await asyncio.wait_for(waiting, 60)).payload["records"][0]["step"]

    assert asyncio.run(watch()) == 100


@pytest.fixture
def count_requests(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], tuple[int, Any]]:
    """Does something, and says how many requests the bucket got of it."""
    urls: list[str] = []
    send = AuthorizedSession.request

    def counted(self: AuthorizedSession, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        urls.append(url)
        return send(self, method, url, *args, **kwargs)

    monkeypatch.setattr(AuthorizedSession, "request", counted)

    def count(act: Callable[[], Any]) -> tuple[int, Any]:
        urls.clear()
        result = act()
        return len(urls), result

    return count


def test_look_again_takes_one_request_however_many_checkpoints_there_are(
    bucket: str,
    add_checkpoint: Callable[[int, str], Checkpoint],
    count_requests: Callable[[Callable[[], Any]], tuple[int, Any]],
) -> None:
    arguments = {"model": "digits", "place": f"{bucket}/catalogue", "after": EARLY}
    looking = partial(look, "checkpoint", {**arguments, "gcp_conn_id": "google_cloud_default"})
    for first, total in ((1, 3), (4, 40)):
        for step in range(first, total + 1):
            # Those that are too old are not read again either.
            add_checkpoint(step, LATE if step % 2 else EARLY)
        known: Seen = {}
        requests, found = count_requests(partial(looking, known))
        assert (requests, len(found)) == (1 + total, (total + 1) // 2)
        assert count_requests(partial(looking, known)) == (1, [])
    add_checkpoint(1000, LATE)
    requests, found = count_requests(partial(looking, known))
    assert (requests, [record["step"] for record in found]) == (2, [1000])


def test_look_that_fails_halfway_is_made_up_for_by_the_next(
    bucket: str, add_checkpoint: Callable[[int, str], Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [add_checkpoint(step, LATE).step for step in (100, 200, 300)]
    arguments = {"model": "digits", "place": f"{bucket}/catalogue", "after": EARLY}
    known: Seen = {}

    def refuse_one(storage: Storage, folder: str) -> Checkpoint | None:
        if "/200-" in folder:
            raise StorageUnavailable("no answer")
        return read_record(storage, folder)

    looking = partial(look, "checkpoint", {**arguments, "gcp_conn_id": "google_cloud_default"}, known)
    with monkeypatch.context() as patch:
        patch.setattr("redraw.checkpoint.catalogue.listing.read_record", refuse_one)
        with pytest.raises(StorageUnavailable):
            looking()

    found = looking()
    assert [record["step"] for record in found] == steps


def test_repeated_trigger_has_an_event_for_each_change_of_the_live_version(
    bucket: str, tmp_path: Path
) -> None:
    arguments = {"model": "digits", "place": bucket, "after": None, "gcp_conn_id": "google_cloud_default"}
    trigger = BucketTrigger(event="live", arguments=arguments, seconds=0.01, repeat=True)

    async def watch() -> list[Any]:
        events, seen = trigger.run(), []
        for day, trained_at in enumerate((EARLY, LATE)):
            export = write_export(tmp_path / str(day), {"saved_model.pb": b"graph%d" % day}, trained_at)
            await asyncio.to_thread(export.publish, bucket)
            seen.append((await asyncio.wait_for(cast(Any, anext(events)), 60)).payload["records"])
        waiting = asyncio.create_task(cast(Any, anext(events)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        waiting.cancel()
        return seen

    first, second = asyncio.run(watch())
    assert [len(first), len(second)] == [1, 1]
    assert first[0]["version"] < second[0]["version"]


def test_sensors_of_versions_wait_for_a_push_and_for_a_change(bucket: str, tmp_path: Path) -> None:
    export = write_export(tmp_path / "export", {"saved_model.pb": b"graph"}, EARLY)
    sensors = (
        NewVersionSensor(task_id="new", model="digits"),
        LiveVersionSensor(task_id="live", model="digits"),
    )
    assert not any(one.poke(CONTEXT).is_done for one in sensors)

    export.publish(bucket)

    (release,) = list_releases(ReleasesRequest(model="digits", bucket=bucket)).releases
    for name in (f"{release.version + 1}.json", "index.json", "٣.json"):  # damaged, or no version's
        open_storage(bucket).create(f"digits/releases/{name}", b"{")
    published, live = (one.poke(CONTEXT).xcom_value for one in sensors)
    assert published == release.to_json()
    assert (live["record"], live["version"]) == ("LivePointer", release.version)
    for kind in (NewVersionSensor, LiveVersionSensor):
        assert not kind(task_id="wait", model="digits", after=str(release.version)).poke(CONTEXT).is_done


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"after": "yesterday"}, "after: expected a time such as 2026-01-31T00:00:00Z, got 'yesterday'"),
        ({"catalogue": "gs://no-such-bucket-here"}, "no-such-bucket-here"),
        ({"gcp_conn_id": "nobody"}, "connection 'nobody': expected a Google Cloud connection, found none"),
        ({"model": None}, "model: expected a value, got none"),
    ],
)
def test_sensor_that_can_never_find_anything_fails_at_once(
    bucket: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(AirflowFailException, match=said):
        sensor(bucket, **arguments).execute(CONTEXT)


def test_trigger_says_why_it_cannot_look(bucket: str) -> None:
    trigger = BucketTrigger(
        event="live",
        arguments={
            "model": "digits",
            "place": "gs://no-such-bucket-here",
            "after": None,
            "gcp_conn_id": "google_cloud_default",
        },
    )

    async def first() -> Any:
        return await anext(trigger.run())

    event = asyncio.run(first())
    with pytest.raises(AirflowFailException, match="no-such-bucket-here"):
        LiveVersionSensor(task_id="live", model="digits").take_event(CONTEXT, event.payload)
