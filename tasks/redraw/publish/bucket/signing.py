"""Signatures of versions, in the bundles of OpenSSF `model-signing`.

A version has two. The first signs the list of its files with their SHA-256, as `model_signing sign` does for
a folder, and is next to the files as `model.sig`: so `model_signing verify` confirms a version that was
downloaded or mirrored. The second is in the release record: it signs the record (report, metrics, approval,
provenance, digests) and the bucket's name, except `generations` and `pruned`, which change later. Versions
signed by older releases of Redraw have only the first; with a key they are refused until a push of the same
export signs the record.

Source: https://github.com/sigstore/model-transparency
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraw.compat.signing import sha256_digest
from redraw.errors import SignatureInvalid
from redraw.publish.bucket.layout import (
    Claim,
    old_signature_name,
    release_name,
    signature_name,
    version_folder,
)
from redraw.publish.bucket.signers import SigningKey, configure_verifier, own_verifier, reading_key
from redraw.records import Release
from redraw.records.files import ListedFile
from redraw.storage.files import checksum_of
from redraw.storage.opening import AlreadyThere, Storage

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

# Fields of a record that change after it was signed, and the signature itself.
_UNSIGNED = {"signature", "generations", "pruned"}
# What model-signing raises for a text that is no bundle, or a bundle of another kind.
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_FORM = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


def sign_version(storage: Storage, claim: Claim, signer: SigningKey) -> ListedFile:
    """Sign a version's files, unless they have a signature of the same key already.

    Args:
        storage: The model bucket.
        claim: The version's, its manifest already compared with the bucket's objects.
        signer: The key.

    Returns:
        The object with the signature.

    Raises:
        InvalidRequest: The key cannot be read.
        SignatureInvalid: The version has a signature of another key, which is not changed.
    """
    name, old = (of(claim.model, claim.version) for of in (signature_name, old_signature_name))
    content = _sign(_manifest(claim), signer)
    if (standing := storage.read(old)) is not None:
        _demand_made_by(storage, claim, signer, old, standing)
    try:
        storage.create(name, content)
    except AlreadyThere:
        content = storage.read(name) or b""
        _demand_made_by(storage, claim, signer, name, content)
    sha256 = hashlib.sha256(content).hexdigest()
    return ListedFile(name=name, size=len(content), crc32c=checksum_of(content), sha256=sha256)


def sign_release(storage: Storage, release: Release, signer: SigningKey) -> Release:
    """The same record with a signature of its content and of its bucket's name."""
    content = json.dumps(release.stored().to_json(), allow_nan=False).encode()
    signature = _sign(_release_manifest(storage, release, content), signer)
    return replace(release, signature=signature.decode())


def is_release_signed(storage: Storage, release: Release, signer: SigningKey) -> bool:
    """Whether a record is signed with a key; False if it has no signature.

    Raises:
        SignatureInvalid: It has a signature of another key.
    """
    if not release.signature:
        return False
    content = json.dumps(release.stored().to_json(), allow_nan=False).encode()
    with own_verifier(signer) as public_key:
        demand_release_signed(storage, release, content, public_key)
    return True


def demand_signed(storage: Storage, claim: Claim, public_key: str) -> None:
    """Demand that a version's manifest was signed with the private key of a public key.

    Args:
        storage: The model bucket.
        claim: The version's.
        public_key: File of the public key in PEM.

    Raises:
        SignatureInvalid: It has no signature, or one of another key, version or manifest.
        InvalidRequest: The key cannot be read.
    """
    names = [of(claim.model, claim.version) for of in (signature_name, old_signature_name)]
    contents = ((name, storage.read(name)) for name in names)
    existing = ((name, content) for name, content in contents if content is not None)
    name, content = next(existing, (names[0], None))
    where = f"{storage.uri}/{name}"
    if content is None:
        raise SignatureInvalid(
            f"{where}: expected a signature that {public_key} confirms, got none."
            " Push the same export with --signing-key."
        )
    _demand_confirmed(where, content, _manifest(claim), public_key)


def demand_release_signed(storage: Storage, release: Release, content: bytes, public_key: str) -> None:
    """Demand that the bytes of a record were signed for this bucket.

    Args:
        storage: The model bucket.
        release: The record.
        content: The bytes of the object that holds it.
        public_key: File of the public key in PEM.

    Raises:
        SignatureInvalid: It has no signature, or one of another key, record or bucket.
        InvalidRequest: The key cannot be read.
    """
    where = f"{storage.uri}/{release_name(release.model, release.version)}"
    if not release.signature:
        raise SignatureInvalid(
            f"{where}: expected a signature of the release record that {public_key} confirms, got a"
            " signature of only the files, which does not cover report, metrics, approval, provenance and"
            " bucket. Push the same export with --signing-key."
        )
    manifest = _release_manifest(storage, release, content)
    _demand_confirmed(where, release.signature.encode(), manifest, public_key)


def _sign(manifest: Manifest, signer: SigningKey) -> bytes:
    config = signer.configure().set_hashing_config(_known_hashes(manifest))
    with tempfile.TemporaryDirectory(prefix="redraw-sign-") as folder, reading_key(signer.key):
        path = Path(folder) / "signature"
        config.sign(str(manifest.model_name), path)
        return path.read_bytes()


def _demand_confirmed(where: str, content: bytes, manifest: Manifest, public_key: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from OpenSSL.crypto import X509StoreContextError
    from sigstore.errors import VerificationError

    config = configure_verifier(public_key).set_hashing_config(_known_hashes(manifest))
    try:
        with tempfile.TemporaryDirectory(prefix="redraw-verify-") as scratch:
            path = Path(scratch) / "signature"
            path.write_bytes(content)
            config.verify(str(manifest.model_name), path)
        subject = _subject(content)
    except (InvalidSignature, X509StoreContextError, VerificationError, *_MALFORMED) as err:
        raise SignatureInvalid(
            f"{where}: expected a signature of this content that {public_key} confirms, got"
            f" {str(err) or type(err).__name__}. Do not serve this version: make another version live."
        ) from err
    if subject != manifest.model_name:
        raise SignatureInvalid(
            f"{where}: expected a signature of {manifest.model_name}, got a signature of {subject}, which"
            " was copied here. Do not serve this version: make another version live."
        )


def _demand_made_by(storage: Storage, claim: Claim, signer: SigningKey, name: str, content: bytes) -> None:
    """Demand that an existing signature was made by the key that is asked to sign."""
    where = f"{storage.uri}/{name}"
    try:
        with own_verifier(signer) as public_key:
            _demand_confirmed(where, content, _manifest(claim), public_key)
    except SignatureInvalid as err:
        raise SignatureInvalid(
            f"{where}: expected no signature, or one made with {signer.key}, got a signature of another"
            " key, which was not changed. To publish with that signature, push without --signing-key."
        ) from err


def _known_hashes(manifest: Manifest) -> Any:
    """A hashing configuration that returns known digests, because the files are not on this disk."""
    from model_signing import hashing

    class KnownHashes(hashing.Config):
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]

        def hash(self, *_: Any, **__: Any) -> Manifest:
            return manifest

        def add_ignored_paths(self, **_: Any) -> None:
            """Ignore nothing: the manifest is complete."""

    return KnownHashes()


def _manifest(claim: Claim) -> Manifest:
    files = {entry.name: entry.sha256 for entry in claim.manifest}
    return _manifest_of(version_folder(claim.model, claim.version), files)


def _release_manifest(storage: Storage, release: Release, content: bytes) -> Manifest:
    """The record's digest; the subject has the bucket's name, so that another bucket's signature fails."""
    facts = {key: value for key, value in json.loads(content).items() if key not in _UNSIGNED}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    name = release_name(release.model, release.version)
    return _manifest_of(f"{storage.uri}/{name}", {name: hashlib.sha256(text.encode()).hexdigest()})


def _manifest_of(subject: str, files: Mapping[str, str]) -> Manifest:
    from model_signing import manifest

    form = manifest.SerializationType.from_args(_FORM)
    items = [form.new_item(name, sha256_digest(sha256)) for name, sha256 in files.items()]
    return manifest.Manifest(subject, items, form)


def _subject(signature: bytes) -> str:
    """The subject's name in a signature that was confirmed."""
    statement = base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"])
    return str(json.loads(statement)["subject"][0]["name"])
