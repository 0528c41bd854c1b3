"""Settings of the engine: every `REDRAW_*` value that it reads, with its type, default and meaning.

A setting is read when something uses it, so a wrong value affects nothing else:

    quota = SCRATCH_BYTES.read()

`redraw.setting_kinds` says where the value comes from.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from redraw import errors
from redraw.errors import InvalidSetting
from redraw.setting_kinds import NAMES, PATH, SECONDS, TEXT, TRUTH, Kind, Setting, whole_number

_logger = logging.getLogger(__name__)

# The file descriptor of a stage's socket to its operator; not a setting, and never set by hand.
CONTROL_FD = "REDRAW_CONTROL_FD"

# Invalid packages are reported one by one, so that the others stay usable.
_PACKAGES = Kind(expected="packages", parse=lambda text: tuple(name.strip() for name in text.split(",")))
# `redraw.rollout.addresses` checks the form of each.
_SERVERS = Kind(expected="model servers", parse=lambda text: tuple(name.strip() for name in text.split(",")))

MODELS: Setting[tuple[str, ...]] = Setting(
    name="models",
    kind=_PACKAGES,
    default=(),
    description="packages with definitions, comma-separated",
    unset="those that installed packages announce",
    example="redraw.models,my_models",
)
SCRATCH: Setting[Path | None] = Setting(
    name="scratch",
    kind=PATH,
    default=None,
    description="local folder for a stage's copies of objects in a bucket",
    unset="`redraw-UID` in `$TMPDIR`",
    example="/large/redraw",
)
SCRATCH_BYTES: Setting[int | None] = Setting(
    name="scratch_bytes",
    kind=whole_number(0, expected="a number of bytes"),
    default=None,
    description="how much all stages of a machine may keep there together",
    unset="as much as the disk has",
    example="50000000000",
)
VERIFY_KEY: Setting[str | None] = Setting(
    name="verify_key",
    kind=TEXT,
    default=None,
    description="public key, certificates or Sigstore identity that has to confirm what becomes live",
    unset="none; signatures are not asked for",
    example="/etc/redraw/public.pem",
)
PASSPORT: Setting[bool] = Setting(
    name="passport",
    kind=TRUTH,
    default=True,
    description="whether each version gets a passport: card, attestations, bill of materials, deployments",
    unset="it gets one",
    example="false",
)
CACHE: Setting[Path | None] = Setting(
    name="cache",
    kind=PATH,
    default=None,
    description="where versions that are asked are kept, 4 GB at most",
    unset="`~/.cache/redraw`",
    example="/var/cache/redraw",
)
SERVERS: Setting[tuple[str, ...]] = Setting(
    name="servers",
    kind=_SERVERS,
    default=(),
    description="the model servers that `redraw rollout` asks, comma-separated",
    unset="none; they have to be named",
    example="grpc://models:8500,k8s://serving/models:8500",
)
STORAGE_TIMEOUT: Setting[float] = Setting(
    name="storage_timeout",
    kind=SECONDS,
    default=50.0,
    description="seconds of retries before storage counts as unavailable",
    unset="50",
)
STORAGE_TOKEN: Setting[str | None] = Setting(
    name="storage_token",
    kind=TEXT,
    default=None,
    description="by hand: the token for the storage server that `STORAGE_EMULATOR_HOST` names",
    unset="none; it needs none",
    configurable=False,
)
USER_PROJECT: Setting[str | None] = Setting(
    name="user_project",
    kind=TEXT,
    default=None,
    description="project that pays for requests to buckets whose requesters pay",
    unset="`user_project` of the connection's extra fields, or none",
    example="my-project",
)
# With fewer rows too many users share one, and the recommender misses its threshold.
RECOMMENDER_ROWS: Setting[int] = Setting(
    name="recommender_rows",
    kind=whole_number(10_000),
    default=20_000,
    description="rows of the embedding table of the example `recommender`",
    unset="20000",
)
RECOMMENDER_PARTS: Setting[int] = Setting(
    name="recommender_parts",
    kind=whole_number(1),
    default=1,
    description="variables that this table is cut into",
    unset="1",
)

WEBHOOKS: Setting[tuple[str, ...]] = Setting(
    name="webhooks",
    kind=NAMES,
    default=(),
    description="names of the webhooks that receive events, comma-separated; the URL and the secret of"
    " each are an Airflow connection of that name, or `REDRAW_WEBHOOK_<NAME>_URL` and"
    " `REDRAW_WEBHOOK_<NAME>_SECRET`",
    unset="none",
    example="deploy,audit",
)


def _parse_site(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s\"'<>?#]+", text):
        raise ValueError(text)
    return text.rstrip("/")


DOCS: Setting[str | None] = Setting(
    name="docs",
    kind=Kind(expected="an http:// or https:// URL without a query", parse=_parse_site),
    default=None,
    description="address of this documentation, to which pages, reports and logs link each check and error",
    unset="none; there are no links",
    example="https://docs.example/redraw",
)


def check_help(name: str) -> str:
    """The documentation's address of a check; empty without `REDRAW_DOCS`, or if the name is invalid."""
    return _described_at("checks", name) if re.fullmatch(r"[a-z0-9-]{1,64}", name) else ""


def error_help(name: str) -> str:
    """The documentation's address of an error; empty without `REDRAW_DOCS`, or if there is no such error."""
    kind = getattr(errors, name, None)
    is_ours = isinstance(kind, type) and issubclass(kind, errors.RedrawError)
    return _described_at("errors", name.lower()) if is_ours else ""


def _described_at(page: str, anchor: str) -> str:
    try:
        site = DOCS.read()
    except InvalidSetting as err:
        _logger.warning("%s are shown without links: %s", page, err)
        return ""
    return f"{site}/reference/{page}.html#{anchor}" if site else ""


def webhook_variables(name: str) -> tuple[str, str | None, str | None]:
    """A webhook in the environment: the variable of its URL, the URL, and the secret."""
    start = "REDRAW_WEBHOOK_" + re.sub(r"\W", "_", name).upper()
    return f"{start}_URL", os.environ.get(f"{start}_URL"), os.environ.get(f"{start}_SECRET")


def take_control_fd() -> int | None:
    """The descriptor in `REDRAW_CONTROL_FD`, if set; the variable is removed, so that no child has it."""
    number = os.environ.pop(CONTROL_FD, None)
    return None if number is None else int(number)


ENGINE_SETTINGS: tuple[Setting[Any], ...] = (
    MODELS,
    SCRATCH,
    SCRATCH_BYTES,
    VERIFY_KEY,
    PASSPORT,
    CACHE,
    SERVERS,
    STORAGE_TIMEOUT,
    USER_PROJECT,
    WEBHOOKS,
    DOCS,
    RECOMMENDER_ROWS,
    RECOMMENDER_PARTS,
)
