"""Settings: their type, their default, and the source of their value.

The value is that of the environment variable `REDRAW_<NAME>`. In Airflow, its configuration comes next, which
`redraw_airflow.settings` adds with `use_configuration`. An empty value counts as none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from redraw.errors import InvalidSetting

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Lists the variables that come from Airflow's configuration, for messages of another process.
_CONFIGURED = "REDRAW_CONFIGURED"


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[T_co]):
    """The type of a setting's value.

    Attributes:
        expected: A description of valid values, for messages.
        parse: Makes the value from its text; raises ValueError for an invalid text.
        option: Airflow's name of the type: `string`, `boolean`, `integer` or `float`.
    """

    expected: str
    parse: Callable[[str], T_co]
    option: str = "string"


@dataclass(frozen=True)
class Value:
    """The text of a setting.

    Attributes:
        text: The text.
        option: Whether Airflow's configuration sets it, not an environment variable.
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
        """The default as a text; None if there is none."""
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
                f" {source if value.option else 'the environment'}. Correct the setting."
            ) from err

    def find(self, environment: Mapping[str, str] | None = None) -> Value | None:
        """The text that sets it, also if it has the wrong type; None if nothing sets it."""
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
    """Ask `look_up` for an option of Airflow's section `[redraw]` by name if no variable sets it."""
    global _configuration
    _configuration = look_up


def use_definition_folders(look_up: Callable[[], Iterable[str]]) -> None:
    """Look for packages with definitions in these folders, too, after those that Python imports from."""
    global _definition_folders
    _definition_folders = look_up


def definition_folders() -> tuple[str, ...]:
    """Folders of definitions in addition to those that Python imports from."""
    return () if _definition_folders is None else tuple(_definition_folders())


def environment_of(settings: Iterable[Setting[Any]]) -> dict[str, str]:
    """The variables that give another process the same values of settings.

    Wrong values are included: the other process reports them when it uses them.
    """
    values = {setting: value for setting in settings if (value := setting.find()) is not None}
    variables = {setting.variable: value.text for setting, value in values.items()}
    options = [setting.name for setting, value in values.items() if value.option]
    return {**variables, _CONFIGURED: ",".join(options)} if options else variables


def whole_number(least: int, most: int | None = None, expected: str | None = None) -> Kind[int]:
    """A whole number in decimal digits, within inclusive bounds."""

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


def _parse_path(text: str) -> Path:
    if "://" in text:
        raise ValueError(text)
    return Path(text)


TEXT = Kind(expected="text", parse=str)
TRUTH = Kind(expected="1 or 0", parse=_parse_truth, option="boolean")
PATH = Kind(expected="a path of this machine", parse=_parse_path)
NAMES = Kind(expected="names with a comma between them", parse=_parse_names)
SECONDS = Kind(expected="a number of seconds", parse=_parse_seconds, option="float")
