"""Is every file there, whole, and the one that was exported? No TensorFlow is needed to tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.errors import CheckpointError
from tasks.files import digest_tree
from tasks.records import Check

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["check_digest", "check_files"]


def check_files(subject: Subject) -> Check:
    """Whether the SavedModel has its graph and whole variables: the check `files-whole`."""
    folder = subject.folder
    problem, tensors = _problem(folder)
    return Check(
        name="files-whole",
        status="failed" if problem else "passed",
        looked_at=str(folder),
        expected="saved_model.pb, and variables whose checksums hold",
        found=problem or f"saved_model.pb and {tensors} whole tensors",
        advice="Export again." if problem else "",
    )


def _problem(folder: Path) -> tuple[str, int]:
    if not (folder / "saved_model.pb").is_file():
        return "no saved_model.pb", 0
    try:
        bundle = TensorBundle(folder / "variables" / "variables")
        bundle.verify()
    except CheckpointError as err:
        return str(err), 0
    return "", len(bundle.entries)


def check_digest(subject: Subject) -> Check:
    """Whether the files are those that the export's record speaks of: the check `digest`."""
    folder, digest = subject.folder, subject.exported.digest
    found = digest_tree(folder)[0] if folder.is_dir() else "no folder"
    return Check(
        name="digest",
        status="passed" if found == digest else "failed",
        looked_at=f"every file below {folder}",
        expected=digest,
        found=found,
        advice="" if found == digest else "The files changed after the export: export again.",
    )
