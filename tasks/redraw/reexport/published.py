"""Find the published version of a checkpoint's export, by digests of its inputs or of its files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from redraw.errors import InvalidRecord, NewerRecord, ObjectConflict
from redraw.publish.bucket.integrity import demand_whole
from redraw.publish.bucket.layout import Claim, read_release
from redraw.publish.push.versions import claims_of_second
from redraw.records import Checkpoint, ExportedModel, MadeBy, Release, WeightsKind
from redraw.records.files import ListedFile
from redraw.storage.opening import Storage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that determines an export's bytes, except the checkpoint.

    Attributes:
        weights: Which of the checkpoint's weights are served.
        maker: The code.
        files: The graph, the assets and other files without weights, from a new export.
    """

    weights: WeightsKind
    maker: MadeBy
    files: frozenset[ListedFile]


def without_weights(files: Iterable[ListedFile]) -> frozenset[ListedFile]:
    """The files of an export that do not depend on the checkpoint."""
    return frozenset(file for file in files if not _follows_weights(file.name))


def _follows_weights(name: str) -> bool:
    # The fingerprint has a hash of the index, which has the weights' checksums.
    return name.startswith("variables/") or name == "fingerprint.pb"


def find_same_source(storage: Storage, checkpoint: Checkpoint, recipe: Recipe) -> Release | None:
    """Find the version that the same recipe made from the same checkpoint.

    Its export would be the same byte for byte, so the checkpoint need not be exported to find it.

    Args:
        storage: The model bucket.
        checkpoint: The checkpoint.
        recipe: How it would be exported now.

    Returns:
        The release, published and complete; None if there is none.

    Raises:
        InvalidRecord: The checkpoint's time, or a record in the bucket, has another form.
        StorageError: The bucket does not answer.
    """

    def same_claim(claim: Claim) -> bool:
        same_checkpoint = claim.checkpoint_digest == checkpoint.digest
        return same_checkpoint and without_weights(claim.manifest) == recipe.files

    def same_release(release: Release) -> bool:
        made_by = release.provenance.made_by
        return (
            release.weights == recipe.weights
            and made_by is not None
            and _code(made_by) == _code(recipe.maker)
        )

    return _find(storage, checkpoint, same_claim, same_release)


def find_same_export(storage: Storage, exported: ExportedModel) -> Release | None:
    """Find the version with the same bytes of the same checkpoint.

    Args:
        storage: The model bucket.
        exported: The export.

    Returns:
        The release, published and complete; None if there is none.

    Raises:
        InvalidRecord: The checkpoint's time, or a record in the bucket, has another form.
        StorageError: The bucket does not answer.
    """

    def same_claim(claim: Claim) -> bool:
        same_checkpoint = claim.checkpoint_digest == exported.checkpoint.digest
        return same_checkpoint and claim.digest == exported.digest

    return _find(storage, exported.checkpoint, same_claim, lambda release: True)


def _find(
    storage: Storage,
    checkpoint: Checkpoint,
    same_claim: Callable[[Claim], bool],
    same_release: Callable[[Release], bool],
) -> Release | None:
    for version, claim in claims_of_second(storage, checkpoint.model, checkpoint.trained_at).items():
        if not same_claim(claim):
            continue
        try:
            release = read_release(storage, checkpoint.model, version)
        except InvalidRecord as err:
            if isinstance(err, NewerRecord):
                raise
            logger.warning("skipped the version %d: %s", version, err)
            continue
        if release is not None and release.pruned is None and same_release(release):
            return release if _is_complete(storage, claim) else None
    return None


def _is_complete(storage: Storage, claim: Claim) -> bool:
    """Whether its objects are complete; if not, a push restores them or reports a conflict."""
    try:
        demand_whole(storage, claim)
    except ObjectConflict:
        return False
    return True


def _code(made_by: MadeBy) -> tuple[str, ...]:
    """The code that determines an export's bytes: neither the commit nor Python's version alone."""
    return made_by.definition_digest, made_by.tensorflow, made_by.keras, made_by.redraw
