"""Describe the code that makes an export: its digest, its commit, and versions of libraries."""

from __future__ import annotations

import hashlib
import inspect
import pkgutil
import platform
import subprocess
import sys
from pathlib import Path

import keras
import tensorflow as tf

from redraw import __version__
from redraw.definition import ModelDefinition
from redraw.records import MadeBy
from redraw.records.times import now

_GIT_SECONDS = 20


def describe_maker(definition: ModelDefinition) -> MadeBy:
    """Describe the code that makes an export.

    Returns:
        The digest of its sources, their commit, and versions of libraries.
    """
    kind = type(definition)
    module = Path(inspect.getfile(kind))
    revision = _git(module.parent, "rev-parse", "HEAD")
    changes = None if revision is None else _git(module.parent, "status", "--porcelain")
    return MadeBy(
        definition_digest=digest_sources(module, packaged=bool(sys.modules[kind.__module__].__package__)),
        git_revision=revision,
        git_dirty=None if changes is None else bool(changes),
        tensorflow=tf.__version__,
        keras=keras.__version__,
        python=platform.python_version(),
        redraw=__version__,
        exported_at=now(),
    )


def digest_sources(module: Path, *, packaged: bool = True) -> str:
    """SHA-256, in hex, of a definition's source files.

    These are its module and the shared files of its package: `__init__`, modules with a
    leading underscore, and inner packages. So a change of another model in the package does
    not change the digest.

    Args:
        module: The definition's file.
        packaged: Whether it belongs to a package. If not, its folder may be a home directory or
            all of `site-packages`, and only the module counts.

    Returns:
        The digest over the files' names in the package and their contents.
    """
    package = module.parent
    digest = hashlib.sha256()
    for path in sorted({module, *(_common_sources(package) if packaged else ())}):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _common_sources(package: Path) -> set[Path]:
    models = {
        package / f"{info.name}.py"
        for info in pkgutil.iter_modules([str(package)])
        if not info.ispkg and not info.name.startswith("_")
    }
    return {*package.rglob("*.py")} - models


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command in a folder; None without a repository or git."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
