"""Settings of the engine: every `REDRAW_*` value that it reads, with its type, default and meaning.

A setting is read when something uses it, so a wrong value affects nothing else:

    quota = SCRATCH_BYTES.read()

The value is that of the environment variable `REDRAW_<NAME>`. Inside Airflow its configuration is asked
next: `redraw_airflow.settings` adds it with `use_configuration`. An empty value counts as none.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from redraw.errors import InvalidSetting

__all__ = [
    "CACHE",
    "CONTROL_FD",
    "DOCS",
    "ENGINE_SETTINGS",
    "MODELS",
    "NAMES",
    "PASSPORT",
    "PATH",
    "RECOMMENDER_PARTS",
    "RECOMMENDER_ROWS",
    "SCRATCH",
    "SCRATCH_BYTES",
    "SERVERS",
    "STORAGE_TIMEOUT",
    "STORAGE_TOKEN",
    "TEXT",
    "TRUTH",
    "USER_PROJECT",
    "VERIFY_KEY",
    "WEBHOOKS",
    "Kind",
    "Setting",
    "Value",
    "check_help",
    "definition_folders",
    "environment_of",
    "take_control_fd",
    "use_configuration",
    "use_definition_folders",
    "webhook_variables",
    "whole_number",
]

_logger = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# The file descriptor of a stage's line to the operator that started it; no setting, and never set by hand.
CONTROL_FD = "REDRAW_CONTROL_FD"
# Which of a process's variables stand for options of Airflow's configuration, for its messages.
_CONFIGURED = "REDRAW_CONFIGURED"


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[T_co]):
    """The type of a setting's value.

    Attributes:
        expected: What the value has to be, for messages.
        parse: Makes the value of its text; raises ValueError for any other text.
        option: The type by Airflow's name: `string`, `boolean`, `integer` or `float`.
    """

    expected: str
    parse: Callable[[str], T_co]
    option: str = "string"


@dataclass(frozen=True)
class Value:
    """The text of a setting.

    Attributes:
        text: As it was set.
        option: Whether Airflow's configuration sets it, and no environment variable.
    """

    text: str
    option: bool = False


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One setting.

    Attributes:
        name: In lower case; `REDRAW_<NAME>` is its variable, and it is an option of `[redraw]`.
        kind: The type of its value.
        default: The value if nothing sets it.
        description: One line for those who set it.
        unset: What happens if nothing sets it, for the documentation.
        example: A value, for the documentation.
        configurable: Whether Airflow's configuration may set it too.
    """

    name: str
    kind: Kind[T]
    default: T
    description: str
    unset: str
    example: str | None = None
    configurable: bool = True

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return f"REDRAW_{self.name.upper()}"

    @property
    def default_text(self) -> str | None:
        """The default as it would be written; None if there is none."""
        if isinstance(self.default, tuple):
            return ",".join(self.default) or None
        return None if self.default is None else str(self.default)

    def read(self, environment: Mapping[str, str] | None = None) -> T:
        """Read the value.

        Args:
            environment: The environment variables, instead of this process's.

        Returns:
            The value, or the default if nothing sets it.

        Raises:
            InvalidSetting: The value has the wrong type.
        """
        value = self.find(environment)
        if value is None:
            return self.default
        try:
            return self.kind.parse(value.text)
        except ValueError as err:
            source = f"option {self.name} of [redraw] in Airflow's configuration"
            raise InvalidSetting(
                f"{self.variable}: expected {self.kind.expected}, got {value.text!r} from"
                f" {source if value.option else 'the environment'}. Correct it."
            ) from err

    def find(self, environment: Mapping[str, str] | None = None) -> Value | None:
        """The text that sets it, of whatever type; None if nothing does."""
        variables = os.environ if environment is None else environment
        if text := variables.get(self.variable):
            return Value(text, option=self.name in variables.get(_CONFIGURED, "").split(","))
        if not self.configurable or _configuration is None:
            return None
        option = _configuration(self.name)
        return Value(option, option=True) if option and option != self.default_text else None


_configuration: Callable[[str], str | None] | None = None
_definition_folders: Callable[[], Iterable[str]] | None = None


def use_configuration(look_up: Callable[[str], str | None]) -> None:
    """Ask `look_up` for the option of Airflow's section `[redraw]`, by its name, if no variable sets it."""
    global _configuration
    _configuration = look_up


def use_definition_folders(look_up: Callable[[], Iterable[str]]) -> None:
    """Look for packages with definitions in these folders, too, after those that Python imports from."""
    global _definition_folders
    _definition_folders = look_up


def definition_folders() -> tuple[str, ...]:
    """The folders in addition to those that Python imports from."""
    return () if _definition_folders is None else tuple(_definition_folders())


def environment_of(settings: Iterable[Setting[Any]]) -> dict[str, str]:
    """The variables that give another process the values that these settings have here.

    Wrong values are among them: whatever uses one of them there says so.
    """
    values = {setting: value for setting in settings if (value := setting.find()) is not None}
    variables = {setting.variable: value.text for setting, value in values.items()}
    options = [setting.name for setting, value in values.items() if value.option]
    return {**variables, _CONFIGURED: ",".join(options)} if options else variables


def webhook_variables(name: str) -> tuple[str, str | None, str | None]:
    """What the environment says of a webhook: the variable of its URL, that, and its secret."""
    start = "REDRAW_WEBHOOK_" + re.sub(r"\W", "_", name).upper()
    return f"{start}_URL", os.environ.get(f"{start}_URL"), os.environ.get(f"{start}_SECRET")


def take_control_fd() -> int | None:
    """The descriptor in `REDRAW_CONTROL_FD`, if it is set; the variable goes, so that no child sees it."""
    number = os.environ.pop(CONTROL_FD, None)
    return None if number is None else int(number)


def whole_number(least: int, most: int | None = None, expected: str | None = None) -> Kind[int]:
    """A whole number in decimal digits, within bounds that count as inside."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= (most or int(text)):
            raise ValueError(text)
        return int(text)

    return Kind(expected=expected or f"a whole number of at least {least}", parse=parse, option="integer")


def _parse_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(text)
    return seconds


def _parse_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(re.fullmatch(r"[\w.-]+", name) for name in names):
        raise ValueError(text)
    return names


def _parse_truth(text: str) -> bool:
    if text.lower() not in {"1", "t", "true", "yes", "on", "0", "f", "false", "no", "off"}:
        raise ValueError(text)
    return text.lower() in {"1", "t", "true", "yes", "on"}


TEXT = Kind(expected="text", parse=str)
TRUTH = Kind(expected="1 or 0", parse=_parse_truth, option="boolean")
PATH = Kind(expected="a path", parse=Path)
NAMES = Kind(expected="names with a comma between them", parse=_parse_names)
# Which of them are no packages is said of each: the others stay usable.
_PACKAGES = Kind(expected="packages", parse=lambda text: tuple(name.strip() for name in text.split(",")))
# What each of them has to be is said where they are asked.
_SERVERS = Kind(expected="model servers", parse=lambda text: tuple(one.strip() for one in text.split(",")))
_SECONDS = Kind(expected="a number of seconds", parse=_parse_seconds, option="float")

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
    description="folder of a machine for what lies in a bucket while a stage works on it",
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
    kind=_SECONDS,
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
# With fewer rows too many users share one for the recommender's threshold to be kept.
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
    description="address of this documentation, to which pages and reports link each check",
    unset="none; there are no links",
    example="https://docs.example/redraw",
)


def check_help(name: str) -> str:
    """Where the documentation describes a check; empty without `REDRAW_DOCS`, or if none has such a name."""
    try:
        site = DOCS.read()
    except InvalidSetting as err:
        _logger.warning("checks are shown without links: %s", err)
        return ""
    is_name = re.fullmatch(r"[a-z0-9-]{1,64}", name)
    return f"{site}/reference/checks.html#{name}" if site and is_name else ""


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
