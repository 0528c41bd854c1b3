"""Files put together that may be one checkpoint each, in one pass over their names."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from redraw.checkpoint.catalogue.candidates import list_candidates
from redraw.checkpoint.formats.folder import FoundFile
from redraw.uri import Uri

FOLDERS = st.sampled_from(["", "d/", "d-1/", "d/d/"])
STEMS = st.text("a1-.+", max_size=6).filter(lambda stem: stem not in (".", ".."))
SUFFIXES = st.sets(
    st.sampled_from([".data-00000-of-00002", ".data-00001-of-00002", ".meta", "-00000-of-00001"])
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.tuples(FOLDERS, STEMS), SUFFIXES, max_size=12))
def test_list_candidates_whatever_the_names_puts_together_what_begins_alike(
    checkpoints: dict[tuple[str, str], set[str]],
) -> None:
    with tempfile.TemporaryDirectory() as root:
        for (folder, stem), suffixes in checkpoints.items():
            (Path(root) / folder).mkdir(parents=True, exist_ok=True)
            for suffix in (".index", *suffixes):
                (Path(root) / folder / f"{stem}{suffix}").touch()
        found = {
            f"{Path(each.folder.uri).relative_to(root).as_posix()}/{each.name}".removeprefix("./"): set(
                each.folder.files
            )
            for each in list_candidates(Uri(root), recursive=True)
        }
    assert found == {
        f"{folder}{stem}": {f"{stem}{suffix}" for suffix in (".index", *suffixes)}
        for (folder, stem), suffixes in checkpoints.items()
    }


def test_list_candidates_of_a_flat_folder_holds_few_files(tmp_path: Path) -> None:
    for step in range(300):
        for suffix in (".index", ".data-00000-of-00001"):
            (tmp_path / f"model.ckpt-{step:03d}{suffix}").touch()
    (tmp_path / "notes").touch()
    found = list(list_candidates(Uri(tmp_path), recursive=False))
    assert [candidate.name for candidate in found] == [f"model.ckpt-{step:03d}" for step in range(300)]
    assert all(len(candidate.folder.files) == 2 for candidate in found)
    assert all(isinstance(file, FoundFile) for candidate in found for file in candidate.folder.files.values())
