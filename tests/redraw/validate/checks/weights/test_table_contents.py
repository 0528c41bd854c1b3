"""Files that fill tables, next to those of the SavedModel whose weights are served."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.serving.graph.serving_graph import ServingGraph, read_meta_graphs
from redraw.validate.checks.weights.file_configuration import differing_tables


class Words(tf.Module):
    """Looks words up in the lines of a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        filling = tf.lookup.TextFileInitializer(str(path), tf.string, -2, tf.int64, -1)
        self.table = tf.lookup.StaticHashTable(filling, 0)
        self.rows = tf.Variable([1.0, 2.0])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.gather(self.rows, self.table.lookup(x))}


@pytest.mark.parametrize(("served", "named"), [("a\nb\n", 0), ("b\na\n", 1), ("a\nb\nc\n", 1)])
def test_file_of_a_table_is_compared_with_that_next_to_the_weights(
    served: str, named: int, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n")
    module = Words(tmp_path / "words.txt")
    tf.saved_model.save(module, str(tmp_path / "theirs"), signatures=module.answer)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "words.txt").write_text(served)
    graph = ServingGraph(read_meta_graphs(tmp_path / "theirs" / "saved_model.pb")[0])
    problems = list(differing_tables(graph, open_checkpoint(tmp_path / "theirs"), tmp_path / "ours"))
    assert len(problems) == named
    assert all("words.txt" in problem for problem in problems)


@pytest.mark.parametrize(("served", "named"), [("a\nb\n", 0), ("b\na\n", 1)])
def test_file_of_a_table_by_another_name_is_compared_with_those_next_to_the_weights(
    served: str, named: int, tmp_path: Path
) -> None:
    for folder, name, content, same in (
        ("theirs", "words.txt", "a\nb\n", "twin.txt"),
        ("ours", "other.txt", served, "copy.txt"),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / same).write_text("of no difference")
        module = Words(tmp_path / name)
        module.same = tf.saved_model.Asset(str(tmp_path / same))
        tf.saved_model.save(module, str(tmp_path / folder), signatures=module.answer)
    graph = ServingGraph(read_meta_graphs(tmp_path / "ours" / "saved_model.pb")[0])
    problems = list(
        differing_tables(graph, open_checkpoint(tmp_path / "theirs"), tmp_path / "ours" / "assets")
    )
    assert len(problems) == named
    assert all("other.txt" in problem and "words.txt" in problem for problem in problems)
    assert "twin.txt" not in " ".join(problems)


def _served(folder: Path, text: str, columns: tuple[int, int], **how: object) -> tuple[ServingGraph, Path]:
    """A SavedModel that looks words up in two columns of a file."""
    (folder / "words.txt").write_text(text)
    module = tf.Module()
    filling = tf.lookup.TextFileInitializer(
        str(folder / "words.txt"), tf.string, columns[0], tf.int64, columns[1], **how
    )
    module.table = tf.lookup.StaticHashTable(filling, 0)
    module.answer = tf.function(
        lambda x: {"y": module.table.lookup(x)}, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(folder / "ours"), signatures=module.answer)
    graph = ServingGraph(read_meta_graphs(folder / "ours" / "saved_model.pb")[0])
    return graph, folder / "ours" / "assets"


@pytest.mark.parametrize(
    ("text", "columns", "how", "saved"),
    [
        ("a\nb\n", (-2, -1), {}, {"a": 0, "b": 1}),
        ("a\nb\nc\n", (-2, -1), {"vocab_size": 2}, {"a": 0, "b": 1}),
        ("3\ta\n5\tb\n", (1, 0), {}, {"a": 3, "b": 5}),
        ("a,x,3\nb,x,5", (0, 2), {"delimiter": ","}, {"a": 3, "b": 5}),
        ("x\ta\nx\tb\n", (1, -1), {}, {"a": 0, "b": 1}),
    ],
)
def test_table_of_a_file_is_compared_with_the_table_of_the_checkpoint(
    text: str, columns: tuple[int, int], how: dict[str, object], saved: dict[str, int], tmp_path: Path
) -> None:
    graph, assets = _served(tmp_path, text, columns, **how)
    found = []
    for number, content in enumerate((saved, saved | {"b": 9}, saved | {"d": 2}, {})):
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
        table.insert(tf.constant([*content], tf.string), tf.constant([*content.values()], tf.int64))
        prefix = tf.train.Checkpoint(table=table).save(str(tmp_path / f"model-{number}"))
        found.append([*differing_tables(graph, open_checkpoint(Path(prefix)), assets)])
    assert [len(problems) for problems in found] == [0, 1, 1, 0]
    assert f"b'b' is {saved['b']} in the export, and 9 in the checkpoint's" in found[1][0]
    assert "b'd' is None in the export, and 2 in the checkpoint's" in found[2][0]
