"""Vocabularies that lie in a bucket: copied into the export, whatever makes a table of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.export.export import export_model
from redraw.requests import ExportRequest, TrainRequest
from redraw.storage.opening import write_uri
from redraw.train.train import train_model
from tests.paths import TESTS

Write = Callable[[str, str], str]

WORDS = "red\ngreen\nblue\n"
DEFINITION = """
from redraw.definition import GraphFunctionDefinition, Signature, TensorSpec
from sample_models.line_module import LineDefinition
import keras, numpy as np, tensorflow as tf
from redraw.definition import GoldenExamples

WORDS = {uri!r}

def table():
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    words = tf.lookup.TextFileInitializer(WORDS, tf.string, line, tf.int64, number)
    return tf.lookup.StaticHashTable(words, 9)

class Base:
    signatures = {{"serving_default": Signature(
        inputs={{"word": TensorSpec("string", (None,))}}, outputs={{"y": TensorSpec("float32", (None, 1))}})}}
    def training_data(self):
        words = np.array([b"red", b"blue", b"pink"], object)
        return tf.data.Dataset.from_tensors((words, np.ones([3, 1], np.float32))).repeat()
    def serve(self, network, signature, inputs):
        return {{"y": network(inputs["word"])}}
    def golden_examples(self):
        return {{"serving_default": GoldenExamples(inputs={{"word": np.array([b"red", b"pink"], object)}})}}

def net(indices, word):
    hidden = keras.layers.Embedding(16, 4, name="rows")(indices)
    hidden = keras.layers.Reshape([-1, 4])(hidden)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    return keras.Model(word, keras.layers.Dense(1, name="y")(hidden))

{kind}
"""
KINDS = {
    "string_lookup": """
class Words(Base, LineDefinition):
    def build(self, mode):
        word = keras.Input([], dtype="string", name="word")
        return net(keras.layers.StringLookup(vocabulary=WORDS, name="words")(word), word)
""",
    "text_vectorization": """
class Words(Base, LineDefinition):
    def build(self, mode):
        word = keras.Input([], dtype="string", name="word")
        return net(keras.layers.TextVectorization(vocabulary=WORDS, name="words")(word), word)
""",
    "hash_table": """
class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.table, self.rows = table(), tf.Variable(tf.random.normal([16, 1]))
    def __call__(self, word, training=False):
        return tf.gather(self.rows, self.table.lookup(word))
class Words(Base, LineDefinition):
    def build(self, mode):
        return Net()
""",
    "graph_function": """
class Words(Base, GraphFunctionDefinition, LineDefinition):
    def graph(self, mode, features):
        rows = tf.compat.v1.get_variable("rows", [16, 1])
        return tf.gather(rows, table().lookup(features))
""",
}


@pytest.fixture
def write_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes one of the kinds: its name."""

    def write(kind: str, uri: str) -> str:
        package = tmp_path / f"remote_{kind}_{abs(hash(uri))}"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "words.py").write_text(DEFINITION.format(uri=uri, kind=KINDS[kind]))
        monkeypatch.syspath_prepend(str(TESTS))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("REDRAW_MODELS", package.name)
        return "words"

    return write


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_export_vocabulary_in_a_bucket_is_an_asset(
    kind: str, bucket: str, write_definition: Write, tmp_path: Path
) -> None:
    _check(kind, f"{bucket}/vocabularies/words.txt", write_definition, tmp_path)


def test_export_vocabulary_that_tensorflow_alone_reads_is_an_asset(
    write_definition: Write, tmp_path: Path
) -> None:
    tf.io.gfile.GFile("ram://somewhere/words.txt", "w").write(WORDS)
    _check("hash_table", "ram://somewhere/words.txt", write_definition, tmp_path)


def test_train_vocabulary_that_is_not_in_the_bucket_is_one_line(
    bucket: str, write_definition: Write, tmp_path: Path
) -> None:
    model = write_definition("string_lookup", f"{bucket}/none.txt")
    with pytest.raises(InvalidDefinition, match=r"asset gs://.*/none.txt: found no such file"):
        train_model(TrainRequest(model=model, out=str(tmp_path / "run")))


def _check(kind: str, uri: str, write_definition: Write, tmp_path: Path) -> None:
    if uri.startswith("gs://"):
        write_uri(uri, WORDS.encode())
    model = write_definition(kind, uri)
    run = train_model(TrainRequest(model=model, out=str(tmp_path / "run"), max_steps=4))
    out = tmp_path / "model"
    export_model(ExportRequest(model=model, checkpoint=f"{run.uri}/checkpoints/ckpt-4", out=str(out)))
    assert (out / "assets" / "words.txt").read_text() == WORDS
    serve = tf.saved_model.load(str(out)).signatures["serving_default"]
    answers = serve(word=tf.constant(["red", "green", "blue", "pink"]))["y"].numpy()
    assert len(np.unique(answers)) == 4
