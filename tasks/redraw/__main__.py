"""Turn TensorFlow checkpoints into served models: each command prints one JSON record.

`redraw COMMAND …` and `python -m redraw COMMAND …` are the same.

Flags are the fields of the stage's request; `--request FILE` takes them all as one JSON object (`-` is
standard input). Logs and progress go to standard error. The exit status is 0, 1 with one line for an expected
error, 2 for usage, or 130 if the command was interrupted; a bug keeps its traceback. Some commands print
their record as tables if standard output is a terminal.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
import time
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, get_args

from redraw import __version__
from redraw.commands import COMMANDS, Command
from redraw.errors import InvalidRequest, RedrawError, StorageError, UsageError, one_line, printable
from redraw.records import Record
from redraw.records.codec import json_key
from redraw.requests import Request
from redraw.settings import error_help
from redraw.storage.credentials import watch_parent

_FORMS = ("auto", "table", "json")
_LONGEST_LINE = 16_000
_LONGEST_USAGE = 2_000
_LARGEST_REQUEST = 1 << 28
_THREAD_SECONDS = 5.0
# The status of shells for a process that Ctrl-C ended.
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command's arguments; the process's own by default.

    Returns:
        The exit status.
    """
    watch_parent()
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Without this, absl would log TensorFlow's records a second time.
    logging.getLogger("absl").propagate = False
    try:
        parsed = _parser().parse_args(arguments)
        command = COMMANDS[parsed.command]
        record = command.run(_request(command.request, parsed))
    except RedrawError as err:
        if err.report is not None:
            _show(command, typing.cast(Record, err.report), "json")
        return _fail(err)
    except OSError as err:
        # An error with a path comes from the machine; one without may be a bug.
        if err.filename is None or isinstance(err.filename, int):
            raise
        return _fail(_unusable(err))
    return 0 if _show(command, record, getattr(parsed, "format", "auto")) else 1


def _fail(err: RedrawError) -> int:
    name = type(err).__name__
    if address := error_help(name):
        logging.getLogger("redraw").info("%s is described at %s", name, address)
    sys.stderr.write(f"error [{name}]: {one_line(err, _LONGEST_LINE)}\n")
    return 2 if isinstance(err, UsageError) else 1


def _unusable(err: OSError) -> StorageError:
    path = os.fsdecode(err.filename)
    return StorageError(
        f"{path}: the operating system refused access: {err.strerror}. Correct the path or its permissions."
    )


def _show(command: Command, record: Record, form: str) -> bool:
    """Print a record; returns whether that succeeded: the reader may have ended, or the disk may be full."""
    try:
        command.show(record, form)
        sys.stdout.flush()
    except OSError as err:
        sys.stderr.write(f"error: standard output: could not write the whole record: {err}\n")
        # Discard the rest of the buffer, or Python would fail again when it ends.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return False
    return True


class _OneLine(logging.Formatter):
    """Formats a record on one line, whatever names it has; a traceback is not changed."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """The line."""
        return printable(super().formatMessage(record))


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments on one line, whatever they contain."""

    def error(self, message: str) -> typing.NoReturn:
        """End the process."""
        super().error(one_line(message, _LONGEST_USAGE))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="redraw", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"redraw {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        summary = (command.request.__doc__ or "").strip()
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.add_argument("--request", metavar="FILE", help="all of it as one JSON object; - is stdin")
        hints = typing.get_type_hints(command.request)
        for declared in fields(command.request):
            _add_flag(sub, declared, hints[declared.name])
        if command.tables:
            text = "how to show it (default: a table on a terminal, else JSON)"
            sub.add_argument("--format", choices=_FORMS, default="auto", help=text)
    return parser


def _add_flag(parser: argparse.ArgumentParser, declared: Field[Any], hint: Any) -> None:
    key, help_text = json_key(declared), declared.metadata["help"]
    if declared.default is MISSING and declared.default_factory is MISSING:
        help_text += " (required)"
    if declared.metadata.get("positional"):
        parser.add_argument(declared.name, nargs="?", default=MISSING, help=help_text)
        return
    settings: dict[str, Any] = {"dest": declared.name, "default": MISSING, "help": help_text}
    if hint is bool:
        settings["action"] = "store_true"
    elif typing.get_origin(hint) is tuple:
        kind = int if int in get_args(hint) else str
        # Argparse appends to the default, which must be None for an empty list.
        settings |= {"action": "append", "metavar": key.upper(), "type": kind, "default": None}
    elif any(typing.get_origin(member) is Mapping for member in _members(hint)):
        settings |= {"metavar": "FILE", "type": _read_json}
    else:
        settings["type"] = next((kind for kind in (int, float) if kind in _members(hint)), str)
        settings["metavar"] = key.upper().replace("-", "_")
        settings["choices"] = _choices(hint)
    parser.add_argument("--" + key.replace("_", "-"), **settings)


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def _choices(hint: Any) -> list[str] | None:
    for member in _members(hint):
        if typing.get_origin(member) is typing.Literal:
            return [str(choice) for choice in get_args(member)]
    return None


def _request(cls: type[Request], parsed: argparse.Namespace) -> Request:
    values = {
        json_key(declared): getattr(parsed, declared.name)
        for declared in fields(cls)
        if getattr(parsed, declared.name) not in (MISSING, None)
    }
    if parsed.request is None:
        return _from_flags(cls, values)
    if values:
        raise UsageError(
            f"--request holds the whole request, but --{next(iter(values))} is set too. Remove one of the"
            " two flags."
        )
    return cls.from_json(_read_json(parsed.request))


def _from_flags(cls: type[Request], values: dict[str, Any]) -> Request:
    try:
        return cls.from_json(values)
    except InvalidRequest as err:
        raise UsageError(str(err)) from err


def _read_json(source: str) -> object:
    try:
        with open(sys.stdin.fileno() if source == "-" else source, "rb", closefd=source != "-") as file:
            text = file.read(_LARGEST_REQUEST + 1)
        if len(text) > _LARGEST_REQUEST:
            raise ValueError(f"more than {_LARGEST_REQUEST} bytes")
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as err:
        where = "standard input" if source == "-" else source
        raise InvalidRequest(f"{where}: expected one JSON object, got {err}. Correct the request.") from err


def run() -> None:
    """The console script `redraw`: run `main`, and exit with its status."""
    try:
        status = main() if _open_streams() else 1
    except SystemExit as err:
        status = err.code if isinstance(err.code, int) else 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        status = _INTERRUPTED
    _end_threads(status)
    sys.exit(status)


def _open_streams() -> bool:
    """Open missing standard streams, so that no file gets their number; returns whether stdout was open."""
    if sys.stdin and sys.stdout and sys.stderr:
        return True
    missing = sys.stdout is None
    while os.open(os.devnull, os.O_RDWR) < 2:  # noqa: PLR2004 - the last of the three
        pass
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if missing:
        sys.stderr.write(
            "error: standard output is closed, so the record could not be written, and nothing was done."
            " Redirect standard output, for example to /dev/null.\n"
        )
    return not missing


def _end_threads(status: int) -> None:
    """End the process if a thread that a definition started would keep it running."""
    end = time.monotonic() + _THREAD_SECONDS
    threads = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if running := [thread.name for thread in threads if thread.is_alive()]:
        sys.stderr.write(f"WARNING redraw: ended with threads that still ran: {', '.join(running)}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    run()
