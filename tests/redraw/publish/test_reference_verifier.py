"""OpenSSF's own verifier and `redraw verify`, of altered versions: both refuse, or both accept."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from model_signing import hashing, signing, verifying

from redraw.errors import VerificationFailed
from redraw.publish.push.push import push_model
from redraw.publish.verify import verify_version
from redraw.records import Release
from redraw.requests import VerifyRequest
from redraw.storage.opening import Storage, open_storage

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")

SHARD, MOVED = "variables/variables.data-00001-of-00006", "variables/variables.data-00009-of-00006"
SIGNATURE = "model.sig"


@dataclass(frozen=True)
class Signed:
    """A signed version, another one of the same key, and the key of somebody else."""

    storage: Storage
    release: Release
    other: Release
    public_key: str
    foreign_key: str

    def name(self, file: str, release: Release | None = None) -> str:
        """An object of the version."""
        return f"digits/{(release or self.release).version}/{file}"

    def read(self, file: str, release: Release | None = None) -> bytes:
        """Its content."""
        return self.storage.read(self.name(file, release)) or b""

    def write(self, file: str, content: bytes) -> None:
        """Put content there, whatever was there."""
        found = self.storage.stat(self.name(file))
        if found is None:
            self.storage.create(self.name(file), content)
        else:
            self.storage.replace(self.name(file), content, found.generation)

    def remove(self, file: str) -> None:
        """Remove an object."""
        found = self.storage.stat(self.name(file))
        assert found is not None
        self.storage.delete(found.name, found.generation)

    def download(self, folder: Path) -> Path:
        """The version's objects as anybody copies them."""
        for item in self.storage.walk(self.name("")):
            path = folder / item.name.removeprefix(self.name(""))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.storage.read(item.name) or b"")
        return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Private and public keys, of two."""
    folder, found = tmp_path_factory.mktemp("keys"), {}
    for owner in ("own", "foreign"):
        found[owner], found[f"{owner}.pub"] = str(folder / owner), str(folder / f"{owner}.pub")
        make = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", found[owner]]
        give = ["ec", "-in", found[owner], "-pubout", "-out", found[f"{owner}.pub"]]
        for command in (make, give):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
    return found


@pytest.fixture
def signed(bucket: str, make_export: Any, keys: dict[str, str]) -> Signed:
    release, other = (
        push_model(replace(make_export(day.encode(), day).request(bucket), signing_key=keys["own"]))
        for day in ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z")
    )
    return Signed(open_storage(bucket), release, other, keys["own.pub"], keys["foreign"])


def _flip(signed: Signed, _: Path) -> None:
    content = bytearray(signed.read(SHARD))
    content[len(content) // 2] ^= 1
    signed.write(SHARD, bytes(content))


def _add(signed: Signed, _: Path) -> None:
    signed.write("variables/more", b"more")


def _remove(signed: Signed, _: Path) -> None:
    signed.remove(SHARD)


def _rename(signed: Signed, _: Path) -> None:
    signed.write(MOVED, signed.read(SHARD))
    signed.remove(SHARD)


def _swap(signed: Signed, _: Path) -> None:
    first, second = signed.read(SHARD), signed.read("variables/variables.index")
    signed.write(SHARD, second)
    signed.write("variables/variables.index", first)


def _take_other_bundle(signed: Signed, _: Path) -> None:
    signed.write(SIGNATURE, signed.read(SIGNATURE, signed.other))


def _sign_again(signed: Signed, folder: Path) -> None:
    """By another key, of exactly these files."""
    model = signed.download(folder / "signed")
    (model / SIGNATURE).unlink()
    config = signing.Config().use_elliptic_key_signer(private_key=Path(signed.foreign_key))
    config.sign(model, folder / SIGNATURE)
    signed.write(SIGNATURE, (folder / SIGNATURE).read_bytes())


def _empty_bundle(signed: Signed, _: Path) -> None:
    signed.write(SIGNATURE, b"{}")


def _refused_by_reference(signed: Signed, folder: Path) -> bool:
    config = verifying.Config().use_elliptic_key_verifier(public_key=Path(signed.public_key))
    # As its command line does: the signature is not of itself.
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[folder / SIGNATURE]))
    try:
        config.verify(folder, folder / SIGNATURE)
    except Exception:  # whatever it has: its kinds are many, and none is named as public
        return True
    return False


def _verify(signed: Signed) -> None:
    verify_version(VerifyRequest(uri=str(signed.release.uri), public_key=signed.public_key))


def test_verify_accepts_what_the_reference_verifier_accepts(signed: Signed, tmp_path: Path) -> None:
    _verify(signed)
    assert not _refused_by_reference(signed, signed.download(tmp_path / "downloaded"))


@pytest.mark.parametrize(
    "alter", [_flip, _add, _remove, _rename, _swap, _take_other_bundle, _sign_again, _empty_bundle]
)
def test_verify_refuses_what_the_reference_verifier_refuses(
    alter: Callable[[Signed, Path], None], signed: Signed, tmp_path: Path
) -> None:
    alter(signed, tmp_path)
    with pytest.raises(VerificationFailed) as refused:
        _verify(signed)
    assert "\n" not in str(refused.value)
    assert _refused_by_reference(signed, signed.download(tmp_path / "downloaded"))
