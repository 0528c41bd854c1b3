from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from redraw.errors import InvalidName, InvalidRequest
from redraw_airflow.operators.inputs import (
    TaskFolder,
    optional_choice,
    setting,
)
from redraw_airflow.settings import MODEL_BUCKET


class Instance:
    """What a folder needs to know of a task instance."""

    def __init__(
        self,
        run_id: str = "manual__1",
        map_index: int | None = -1,
        try_number: int = 1,
        id: UUID = UUID(int=7),  # noqa: A002, B008 - Airflow's name of it
    ) -> None:
        self.dag_id, self.task_id, self.run_id, self.id = "retrain", "train", run_id, id
        self.map_index, self.try_number = map_index, try_number


def folder(model: str = "mnist", **instance: Any) -> TaskFolder:
    return TaskFolder("/work/", model, Instance(**instance))  # type: ignore[arg-type]


def test_for_all_tries_of_second_try_is_the_same_folder() -> None:
    assert folder(try_number=1).for_all_tries() == folder(try_number=2).for_all_tries()


def test_for_this_try_differs_for_each_try_and_mapped_task() -> None:
    folders = {
        folder(try_number=try_number, map_index=index).for_this_try()
        for try_number in (1, 2)
        for index in (-1, 0, 1)
    }

    assert len(folders) == 6


def test_for_this_try_of_a_run_that_was_deleted_and_made_once_more_is_another() -> None:
    first, again = (folder(id=uuid4()) for _ in range(2))

    assert first.for_this_try() != again.for_this_try()
    assert first.for_this_try() == first.for_this_try()
    # A training goes on where it was.
    assert first.for_all_tries() == again.for_all_tries()


@pytest.mark.parametrize(
    "run_id",
    ["scheduled__2026-01-05T03:00:00+00:00", "../../etc", "a b\n", "x" * 250, "ü", "/absolute", ".."],
)
def test_for_all_tries_of_any_run_id_stays_one_safe_folder(run_id: str) -> None:
    work, model, run, task = folder(run_id=run_id).for_all_tries().lstrip("/").split("/")

    assert (work, model, task) == ("work", "mnist", "train")
    assert run == folder(run_id=run_id).run
    assert run.startswith("retrain-")
    assert len(run) < 200
    assert all(character.isascii() and (character.isalnum() or character in "_.=-") for character in run)


def test_for_all_tries_of_run_ids_that_read_alike_differ() -> None:
    runs = {folder(run_id=run_id).run for run_id in ("a b", "a+b", "a-b", "x" * 200, "x" * 201)}

    assert len(runs) == 5


def test_for_all_tries_of_model_that_leads_elsewhere_fails() -> None:
    with pytest.raises(InvalidName, match=r"model name '\.\./mnist'"):
        folder(model="../mnist").for_all_tries()


def test_for_all_tries_without_work_dir_takes_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_WORK", "/scratch")

    found = TaskFolder(None, "mnist", Instance()).for_all_tries()  # type: ignore[arg-type]

    assert found.startswith("/scratch/mnist/")


def test_setting_given_nowhere_fails_and_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDRAW_MODEL_BUCKET", raising=False)

    with pytest.raises(InvalidRequest, match=r"bucket: expected a value, got none. .*REDRAW_MODEL_BUCKET"):
        setting("bucket", "", MODEL_BUCKET)


@pytest.mark.parametrize(("value", "asked"), [("default", None), (None, None), ("raw", "raw")])
def test_optional_choice_default_is_none(value: str | None, asked: str | None) -> None:
    assert optional_choice(value) == asked
