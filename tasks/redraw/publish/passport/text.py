"""Escape untrusted text for Markdown and YAML, so that it has no effect but to be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from redraw.errors import printable

Yaml = str | float | bool | None | Mapping[str, "Yaml"] | list["Yaml"]

# Marks of structure, HTML, formulas, mentions and automatic links; the colon of a time makes no link.
_MARKS = re.compile(r"[\\`*_{}\[\]()<>#|~!&@$]|(?<!\d):|:(?!\d)|(?<=[^\W\d])\.(?=\w)|(?<=\w)\.(?=[^\W\d])")
# Marks that make a list, a rule or a heading at the beginning of a line.
_BEGINS = re.compile(r"^(?:(\d{1,9})(?=\.(?:\s|$))|(?=[-+](?:\s|$)|(?:-\s*){3}|=+$))")


def escape_markdown(text: object) -> str:
    r"""Escape a text for the inside of a line of Markdown: it stays on one line, without any marks.

        >>> escape_markdown("| [a](b)")
        '\\| \\[a\\]\\(b\\)'

    Source:
        https://spec.commonmark.org/0.31.2/#backslash-escapes
    """
    return _BEGINS.sub(r"\1\\", _MARKS.sub(r"\\\g<0>", printable(str(text)).strip()))


def format_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with escaped cells, or a sentence if there are no rows."""
    lines = [f"| {' | '.join(escape_markdown(cell) for cell in row)} |" for row in rows]
    if not lines:
        return "None recorded.\n"
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *lines]) + "\n"


def encode_yaml(value: Mapping[str, Yaml]) -> str:
    """A mapping as YAML in blocks; texts are quoted as in JSON, so that they stay texts.

    Args:
        value: Keys that need no quotes, to texts, numbers, mappings and lists of these.

    Source:
        https://yaml.org/spec/1.2.2/#double-quoted-style
    """
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Yaml) -> list[str]:
    """A value in lines: a mapping's entries, a list's items, or one line of anything else."""
    if isinstance(value, Mapping) and value:
        return [line for key, item in value.items() for line in _entry(key, item)]
    if isinstance(value, list) and value:
        return [
            f"{'  ' if number else '- '}{line}" for item in value for number, line in enumerate(_lines(item))
        ]
    return [_scalar(value)]


def _entry(key: str, item: Yaml) -> list[str]:
    lines = _lines(item)
    is_block = isinstance(item, Mapping | list) and bool(item)
    return [f"{key}:", *(f"  {line}" for line in lines)] if is_block else [f"{key}: {lines[0]}"]


def _scalar(item: Yaml) -> str:
    if isinstance(item, str):
        return json.dumps(printable(item), ensure_ascii=False, allow_nan=False)
    text = json.dumps(item, allow_nan=False)
    # YAML 1.1 reads a number with an exponent but no dot as a text.
    return text.replace("e", ".0e") if isinstance(item, float) and "e" in text and "." not in text else text
