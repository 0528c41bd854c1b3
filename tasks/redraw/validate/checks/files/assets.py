"""Do the assets exist, does the graph read them all, and are they the definition's files?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from redraw.recorded.nodes import node_name
from redraw.records import Check
from redraw.storage.files import checksum_of
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject


def check_assets(subject: Subject) -> Check:
    """Compare the assets with the graph's list of them and with the definition's files: the check `assets`.

    The definition is drawn again only if there are assets.
    """
    folder = subject.folder / "assets"
    declared = [(asset.filename, asset.tensor_info.name) for asset in subject.meta_graph.asset_file_def]
    nodes = {node.name for node in subject.meta_graph.graph_def.node}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    problems = [text for name, tensor in declared for text in _asset_problems(folder, name, tensor, nodes)]
    problems += [
        f"the graph does not read assets/{name}" for name in sorted(there - {name for name, _ in declared})
    ]
    if declared and not problems:
        problems += list(_unequal_files(folder, subject.resources.assets))
    return conclude(
        "assets",
        looked_at=f"the {len(declared)} assets of the graph and the {len(there)} files below assets/",
        expected="each asset is a file below assets/ with the content that the definition writes, and"
        " there are no other files",
        found=", ".join(sorted(there)) or "no assets",
        problems=problems,
        advice="Export again with the current definition and its asset files.",
    )


def _asset_problems(folder: Path, name: str, tensor: str, nodes: set[str]) -> Iterator[str]:
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name:
        yield f"asset {name!r} is an absolute path"
    elif not name or ".." in path.parts:
        yield f"asset {name!r} is a path outside of assets/"
    elif not (folder / name).is_file():
        yield f"asset {name!r} is missing"
    if node_name(tensor) not in nodes:
        yield f"asset {name!r} belongs to the tensor {tensor!r}, which the graph does not have"


def _unequal_files(folder: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for name in sorted(files):
        if not (folder / name).is_file():
            yield f"the definition writes assets/{name}, and the export has none"
        else:
            yield from _difference(folder / name, files[name])


def _difference(path: Path, source: Path) -> Iterator[str]:
    if checksum_of(path) == checksum_of(source) and path.stat().st_size == source.stat().st_size:
        return
    got, expected = path.read_bytes().splitlines(), source.read_bytes().splitlines()
    pairs = enumerate(zip(got, expected, strict=False), start=1)
    first = next(
        (number for number, (line, source_line) in pairs if line != source_line),
        min(len(got), len(expected)) + 1,
    )
    order = ", the same lines in another order" if sorted(got) == sorted(expected) else ""
    yield (
        f"assets/{path.name} differs from the definition's {source.name} from line {first} on"
        f" ({len(got)} lines, {len(expected)} expected{order})"
    )
