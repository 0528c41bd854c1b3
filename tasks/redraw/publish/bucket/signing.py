"""Signatures of versions, by key pair, in the format of `model-signing`.

What is signed is the list of a version's files with their SHA-256, as `model_signing sign key`
signs it of a folder: so `model_signing verify key` confirms a version that was downloaded.

Source: https://github.com/sigstore/model-transparency
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraw.compat.signing import sha256_digest
from redraw.errors import InvalidRequest, SignatureInvalid
from redraw.publish.bucket.layout import Claim, signature_name, version_folder
from redraw.storage.opening import AlreadyThere, Storage

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

__all__ = ["demand_signed", "sign_version"]

_FORM = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


def sign_version(storage: Storage, claim: Claim, private_key: str) -> None:
    """Sign a version; a signature of the same key that is there already stays.

    Args:
        storage: The model bucket.
        claim: The version's, its manifest compared with what lies in the bucket.
        private_key: File of an elliptic curve key in PEM, without a password.

    Raises:
        InvalidRequest: There is no such key.
        SignatureInvalid: It has one that this key did not make, which is left as it is.
    """
    from model_signing import signing

    with tempfile.TemporaryDirectory(prefix="redraw-sign-") as folder:
        path = Path(folder) / "signature"
        with _reading_key(private_key):
            config = signing.Config().use_elliptic_key_signer(private_key=private_key)
        config.set_hashing_config(_known_hashes(claim))
        config.sign(version_folder(claim.model, claim.version), path)
        try:
            storage.create(signature_name(claim.model, claim.version), path.read_bytes())
        except AlreadyThere:
            _demand_made_by(storage, claim, private_key, Path(folder))


def demand_signed(storage: Storage, claim: Claim, public_key: str) -> None:
    """Demand that a version's manifest was signed with the private key of this public one.

    Args:
        storage: The model bucket.
        claim: The version's.
        public_key: File of the public key in PEM.

    Raises:
        SignatureInvalid: It has no signature, or one of another key, version or manifest.
        InvalidRequest: There is no such key.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    where = f"{storage.uri}/{signature_name(claim.model, claim.version)}"
    content = storage.read(signature_name(claim.model, claim.version))
    if content is None:
        raise SignatureInvalid(
            f"{where}: expected a signature that {public_key} confirms, got none."
            " Push the same export with --signing-key."
        )
    with _reading_key(public_key):
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    config.set_hashing_config(_known_hashes(claim))
    folder = version_folder(claim.model, claim.version)
    try:
        with tempfile.TemporaryDirectory(prefix="redraw-verify-") as scratch:
            path = Path(scratch) / "signature"
            path.write_bytes(content)
            config.verify(folder, path)
        subject = _subject(content)
    except (InvalidSignature, ValueError, LookupError, TypeError) as err:
        raise SignatureInvalid(
            f"{where}: expected a signature of this manifest that {public_key} confirms, got"
            f" {str(err) or type(err).__name__}. Find out who wrote it; do not serve this version."
        ) from err
    if subject != folder:
        raise SignatureInvalid(
            f"{where}: expected a signature of {folder}, got one of {subject}. Find out who copied it."
        )


def _demand_made_by(storage: Storage, claim: Claim, private_key: str, scratch: Path) -> None:
    """Anyone who asks for a signature of a key must not be left with one of another."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    public = load_pem_private_key(Path(private_key).read_bytes(), None).public_key()
    public_key = scratch / "public"
    public_key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    try:
        demand_signed(storage, claim, str(public_key))
    except SignatureInvalid as err:
        raise SignatureInvalid(
            f"{storage.uri}/{signature_name(claim.model, claim.version)}: expected no signature, or one made"
            f" with {private_key}, got another, which is left as it is. Find out who signed the version;"
            " to publish it as it stands, push without --signing-key."
        ) from err


def _known_hashes(claim: Claim) -> Any:
    """What stands in for reading a folder: the digests are known, and nothing lies on this disk."""
    from model_signing import hashing

    class KnownHashes(hashing.Config):
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]

        def hash(self, *_: Any, **__: Any) -> Manifest:
            return _manifest(claim)

        def add_ignored_paths(self, **_: Any) -> None:
            """Nothing is left out."""

    return KnownHashes()


def _manifest(claim: Claim) -> Manifest:
    from model_signing import manifest

    form = manifest.SerializationType.from_args(_FORM)
    items = [form.new_item(entry.name, sha256_digest(entry.sha256)) for entry in claim.manifest]
    return manifest.Manifest(version_folder(claim.model, claim.version), items, form)


def _subject(signature: bytes) -> str:
    """What a signature that was confirmed says it is of."""
    statement = base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"])
    return str(json.loads(statement)["subject"][0]["name"])


@contextmanager
def _reading_key(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as err:
        raise InvalidRequest(
            f"{path}: expected an elliptic curve key in PEM without a password, got {err}. Make a pair with"
            " 'openssl ecparam -name prime256v1 -genkey -noout' and 'openssl ec -pubout'."
        ) from err
