"""Configure signing and verifying: with a key, a certificate, a PKCS#11 token, or a Sigstore identity.

Source: https://github.com/sigstore/model-transparency
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraw.compat.signing import public_key_of_token
from redraw.errors import InvalidRequest
from redraw.settings import VERIFY_KEY
from redraw.storage.files import open_regular

if TYPE_CHECKING:
    from model_signing import signing, verifying

_TOKEN, _KEYLESS = "pkcs11:", "sigstore"
# In bytes; a chain of certificates has some kB.
_LARGEST_KEY = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """The key that signs a version.

    Attributes:
        key: File of an elliptic curve key in PEM, without a password; the `pkcs11:` URI of one; or
            `sigstore`, for the identity of the machine.
        certificates: File in PEM of the key's certificate, then of its issuers up to the root.
    """

    key: str
    certificates: str | None = None

    def configure(self) -> signing.Config:
        """The configuration with which model-signing signs.

        Raises:
            InvalidRequest: The key or certificate cannot be read.
        """
        from model_signing import signing

        config = signing.Config()
        if self.key == _KEYLESS:
            return config.use_sigstore_signer(use_ambient_credentials=True)
        chain: dict[str, Any] = {}
        if self.certificates:
            path = Path(self.certificates)
            chain = {"signing_certificate": path, "certificate_chain": [path]}
        with reading_key(self.key):
            if self.certificates:
                _read(self.certificates)
            if self.key.startswith(_TOKEN):
                if not chain:
                    return config.use_pkcs11_signer(pkcs11_uri=self.key)
                return config.use_pkcs11_certificate_signer(pkcs11_uri=self.key, **chain)
            _read(self.key)
            if not chain:
                return config.use_elliptic_key_signer(private_key=self.key)
            return config.use_certificate_signer(private_key=self.key, **chain)


def configure_verifier(key: str) -> verifying.Config:
    """The configuration with which model-signing verifies.

    Args:
        key: File of a public key, or of the certificates that are trusted, in PEM; or
            `sigstore:IDENTITY,ISSUER`.

    Raises:
        InvalidRequest: The key cannot be read.
    """
    from model_signing import verifying

    config = verifying.Config()
    if key.startswith(f"{_KEYLESS}:"):
        identity, _, issuer = key.removeprefix(f"{_KEYLESS}:").rpartition(",")
        if not identity or not issuer:
            raise InvalidRequest(
                f"{key}: expected the form {_KEYLESS}:IDENTITY,ISSUER, got another form. Correct the value."
            )
        return config.use_sigstore_verifier(identity=identity, oidc_issuer=issuer)
    with reading_key(key):
        if b"-----BEGIN CERTIFICATE-----" in _read(key):
            return config.use_certificate_verifier(certificate_chain=[key])
        return config.use_elliptic_key_verifier(public_key=key)


@contextmanager
def own_verifier(signer: SigningKey) -> Iterator[str]:
    """The verifying key of a signing key, for `configure_verifier`.

    Raises:
        InvalidRequest: The key cannot be read; or it is `sigstore`, and no identity is configured.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    if signer.certificates:
        yield signer.certificates
        return
    if signer.key == _KEYLESS:
        if not (key := VERIFY_KEY.read()):
            raise InvalidRequest(
                f"signing key {_KEYLESS}: expected {VERIFY_KEY.variable} with the identity whose signatures"
                f" to accept, got none. Set {VERIFY_KEY.variable} to {_KEYLESS}:IDENTITY,ISSUER."
            )
        yield key
        return
    with reading_key(signer.key):
        if signer.key.startswith(_TOKEN):
            public = public_key_of_token(signer.configure())
        else:
            public = load_pem_private_key(_read(signer.key), None).public_key()
    with tempfile.TemporaryDirectory(prefix="redraw-sign-") as folder:
        path = Path(folder) / "public"
        path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        yield str(path)


def _read(key: str) -> bytes:
    with open_regular(Path(key)) as file:
        return file.read(_LARGEST_KEY)


@contextmanager
def reading_key(key: str) -> Iterator[None]:
    """Turn errors of reading a key into one line; the module of a token may raise anything."""
    try:
        yield
    except InvalidRequest:
        raise
    except Exception as err:
        if key.startswith(_TOKEN):
            raise InvalidRequest(
                f"{key.partition('?')[0]}: expected an elliptic curve key of a token, got {err}. Name"
                " token, object, module and PIN file in the form of RFC 7512, and install"
                " model-signing[pkcs11]."
            ) from err
        if not isinstance(err, OSError | ValueError | TypeError):
            raise
        raise InvalidRequest(
            f"{key}: expected an elliptic curve key in PEM without a password, or its certificates, got"
            f" {err}. Create a key pair with 'openssl ecparam -name prime256v1 -genkey -noout' and 'openssl"
            " ec -pubout'."
        ) from err
