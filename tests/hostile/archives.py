"""Archives with the name of Keras' own, and members that it never wrote."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import FINE, Case
from tests.hostile.hdf5_files import write_good
from tests.hostile.reading import read_checkpoint

__all__ = ["CASES", "pack"]

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_Members = dict[str, bytes]


def pack(members: _Members, method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _good(folder: Path) -> _Members:
    write_good(folder / "good.h5")
    weights = (folder / "good.h5").read_bytes()
    (folder / "good.h5").unlink()
    return {
        "metadata.json": b"{}",
        _CONFIG: json.dumps({"class_name": "Sequential"}).encode(),
        _WEIGHTS: weights,
    }


def _case(
    name: str,
    change: Callable[[_Members], object] = lambda members: None,
    damage: Callable[[bytes], bytes] = bytes,
    method: int = zipfile.ZIP_STORED,
    expected: str = "CheckpointCorrupt",
    says: str = "",
) -> Case:
    def act(folder: Path) -> None:
        members = _good(folder)
        change(members)
        (folder / "model.keras").write_bytes(damage(pack(members, method)))
        read_checkpoint(folder / "model.keras")

    return Case(name=f"keras-{name}", act=act, expected=expected, says=says)


def _config(content: bytes) -> Callable[[_Members], object]:
    return lambda members: members.update({_CONFIG: content})


def _in_headers(offset_local: int, offset_central: int, value: bytes) -> Callable[[bytes], bytes]:
    """Change a field of every member, in its own header and in the directory."""

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        for signature, offset in ((b"PK\x03\x04", offset_local), (b"PK\x01\x02", offset_central)):
            at = changed.find(signature)
            while at >= 0:
                changed[at + offset : at + offset + len(value)] = value
                at = changed.find(signature, at + 4)
        return bytes(changed)

    return damage


def _twice(content: bytes) -> bytes:
    packed = io.BytesIO(content)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("assets/again.txt", b"")
    return packed.getvalue().replace(b"assets/again.txt", b"model.weights.h5"[:16])


def _directory_of(count: int) -> Callable[[bytes], bytes]:
    return lambda content: pack(
        {f"{number}": b"" for number in range(count)} | {_CONFIG: b"{}", _WEIGHTS: b""}
    )


def _end_says(size: int) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        struct.pack_into("<I", changed, len(changed) - 10, size)
        return bytes(changed)

    return damage


CASES = [
    _case("good", expected=FINE),
    _case("good-packed", method=zipfile.ZIP_DEFLATED, expected=FINE),
    _case("encrypted", damage=_in_headers(6, 8, b"\x01\x00"), says="encrypted"),
    _case("method-99", damage=_in_headers(8, 10, struct.pack("<H", 99)), says="method 99"),
    _case("method-bzip2", method=zipfile.ZIP_BZIP2, says="method 12"),
    _case("method-lzma", method=zipfile.ZIP_LZMA, says="method 14"),
    _case("stored-called-packed", damage=_in_headers(8, 10, struct.pack("<H", 8))),
    _case("size-4-GB", damage=_in_headers(22, 24, b"\xfe\xff\xff\xff"), says="bytes in an archive of"),
    _case("packed-size-4-GB", damage=_in_headers(18, 20, b"\xfe\xff\xff\xff"), says="bytes in an archive of"),
    _case("names-changed", damage=lambda content: content.replace(b"model.weights.h5", b"../../weights.h5")),
    _case("no-config", change=lambda members: members.pop(_CONFIG), says="config.json"),
    _case("no-weights", change=lambda members: members.pop(_WEIGHTS), says="model.weights.h5"),
    _case("weights-no-hdf5", change=lambda members: members.update({_WEIGHTS: b"x" * 4096})),
    _case("config-none", change=_config(b"")),
    _case("config-no-utf-8", change=_config(b'{"a": "\xff\xfe\xfa"}')),
    _case("config-deep", change=_config(b"[" * 100_000 + b"]" * 100_000)),
    _case("config-deeper-than-any", change=_config(b"[" * 300 + b"]" * 300), says="200 levels"),
    _case("config-17-MB", change=_config(b" " * (17 << 20) + b"{}"), says="bytes"),
    _case("config-bomb", change=_config(b"[" + b" " * (40 << 20) + b"]"), method=zipfile.ZIP_DEFLATED),
    _case("config-list", change=_config(b"[1, 2, 3]"), expected=FINE),
    _case("config-huge-number", change=_config(b'{"a": ' + b"9" * 5000 + b"}")),
    _case(
        "weights-bomb",
        change=lambda members: members.update({_WEIGHTS: bytes(64 << 20)}),
        method=zipfile.ZIP_DEFLATED,
    ),  # fmt: skip
    _case("members-20000", damage=_directory_of(20_000), says="20002 files"),
    _case("weights-twice", damage=_twice, says="share a name"),
    _case("directory-longer-than-file", damage=_end_says(0xFFFFFF00)),
    _case("cut-off", damage=lambda content: content[: len(content) // 2]),
    _case("end-alone", damage=lambda content: b"PK\x03\x04" + content[-22:]),
    _case("no-directory", damage=lambda content: b"PK\x03\x04" + bytes(1000)),
    _case("garbled", damage=lambda content: content[:40] + bytes(200) + content[240:]),
    _case(
        "garbled-packed",
        method=zipfile.ZIP_DEFLATED,
        damage=lambda content: content.replace(content[400:440], b"\xff" * 40, 1),
    ),  # fmt: skip
]
