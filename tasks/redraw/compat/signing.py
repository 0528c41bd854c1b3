"""What Redraw uses of model-signing that is not its public API; all of it is that of version 1."""

from __future__ import annotations

from typing import Any


def sha256_digest(sha256: str) -> Any:
    """A digest that is known, in hexadecimal, as a manifest's item takes it.

    No public module names the class, and what the public ones take is made of it. It ends with
    a public name for it.
    """
    from model_signing._hashing.hashing import Digest

    return Digest("sha256", bytes.fromhex(sha256))


def public_key_of_token(config: Any) -> Any:
    """The public key of the key in a token that a `model_signing.signing.Config` signs with.

    Its signer has it; no public method gives it. It ends with one that does.
    """
    return config._signer.public_key()
