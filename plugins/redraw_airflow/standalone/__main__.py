"""The command line of the embedded default: `python -m redraw_airflow.standalone up|status|stop|clean`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from rich.console import Console

from redraw.errors import RedrawError
from redraw.records import Release
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.preflight import prepare_state, remove_state
from redraw_airflow.standalone.processes import end_services
from redraw_airflow.standalone.progress import watch_run
from redraw_airflow.standalone.services import check_services, read_password, start_services
from redraw_airflow.standalone.settings import Settings, read_settings
from redraw_airflow.standalone.state import Instance, forget_instance, keep_ports, lock_state, read_instance
from redraw_airflow.standalone.summary import ask_release, show_prediction, show_release

_DAG = "retrain_and_export"
_MODEL = "mnist"
_PUSH_TASK = "push"
_DAG_SECONDS = 120.0
_INTERRUPTED = 130
_PLAIN_WIDTH = 100


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: `up`, `status`, `stop` or `clean`; the process's own by default.

    Returns:
        The exit status: 0, 1 for an expected failure, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m redraw_airflow.standalone", description=__doc__)
    commands: dict[str, Callable[[Settings, Console], None]] = {
        "up": _up,
        "status": _status,
        "stop": _stop,
        "clean": _clean,
    }
    parser.add_argument("command", choices=commands)
    command = commands[parser.parse_args(arguments).command]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    try:
        command(read_settings(os.environ), console)
    except RedrawError as err:
        details = err.details if isinstance(err, EmbeddedError) else ()
        sys.stderr.write("\n".join([f"error: {err}", *(f"    {line}" for line in details)]) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. The services that were started still run; 'make stop' ends them.\n")
        return _INTERRUPTED
    return 0


def _up(settings: Settings, console: Console) -> None:
    prepare_state(settings.state)
    with lock_state(settings.state):
        before = read_instance(settings.state)
        settings = keep_ports(settings, before)
        instance = start_services(settings, before, lambda line: console.print(line, soft_wrap=True))
    try:
        with AirflowApi(settings.airflow_url, "admin", read_password(settings)) as api:
            _publish(settings, instance, api, console)
    finally:
        if len(instance.running()) == len(instance.services):
            _show_login(settings, console)


def _publish(settings: Settings, instance: Instance, api: AirflowApi, console: Console) -> None:
    def check() -> None:
        check_services(instance.services.values())

    api.wait_for_dag(_DAG, _DAG_SECONDS, check)
    run = api.trigger(_DAG, conf={"model": _MODEL})
    console.print(f"Running {_DAG}: {run.run_id}", soft_wrap=True)
    watch_run(api, _DAG, run, console, check)
    release = Release.from_json(api.result(_DAG, run.run_id, _PUSH_TASK))
    show_release(console, release)
    show_prediction(console, ask_release(settings, release))


def _show_login(settings: Settings, console: Console) -> None:
    console.print(
        f"\nAirflow     {settings.airflow_url}  user admin, password {read_password(settings)}\n"
        f"            or only to look: user viewer, password {read_password(settings, 'viewer')}\n"
        f"Storage     {settings.gcs_url}  buckets {settings.model_bucket}, {settings.checkpoint_bucket}\n"
        f"            token in {settings.token_file}\n"
        "Both run on: 'make run' publishes the next version, 'make stop' ends them.",
        soft_wrap=True,
    )


def _status(settings: Settings, console: Console) -> None:
    instance = read_instance(settings.state)
    if instance is None or not instance.running():
        console.print("Nothing runs.")
        return
    for name, service in instance.services.items():
        state = f"runs as {service.pid}" if service.is_running() else "has ended"
        console.print(f"{name:<15} {state:<15} log {service.log}", soft_wrap=True)
    _show_login(keep_ports(settings, instance), console)


def _stop(settings: Settings, console: Console) -> None:
    instance = read_instance(settings.state)
    if instance is None:
        console.print("Nothing runs.")
        return
    with lock_state(settings.state):
        end_services(instance.services.values())
        forget_instance(settings.state)
    console.print("Ended Airflow and the storage server.")


def _clean(settings: Settings, console: Console) -> None:
    _stop(settings, console)
    remove_state(settings.state)
    console.print(f"Removed {settings.state}.", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
