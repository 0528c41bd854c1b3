"""Uses of model-signing outside of its public API; all of it is that of version 1."""

from __future__ import annotations

from typing import Any


def sha256_digest(sha256: str) -> Any:
    """A manifest's digest object for a known digest in hexadecimal.

    The public classes take objects of a class that no public module exports. It ends with a
    public name for it.
    """
    from model_signing._hashing.hashing import Digest

    return Digest("sha256", bytes.fromhex(sha256))


def public_key_of_token(config: Any) -> Any:
    """The public key for the token's key that a `model_signing.signing.Config` signs with.

    Its signer has it, but no public method returns it. It ends with one.
    """
    return config._signer.public_key()
