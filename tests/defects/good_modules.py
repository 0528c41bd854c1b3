"""Good definitions of modules: control flow, tables, ragged rows, sampling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.definition import GoldenExamples, Mode, TensorSpec
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature

__all__ = ["ControlFlow", "LargeVocabulary", "NoWeights", "Ragged", "Sampling", "SeededSampling"]

_Y = TensorSpec("float32", (None,))


class ControlFlow(Tiny):
    """A loop whose length depends on the request, a branch, and an assertion."""

    signatures = one_signature({"x": TensorSpec("float32", (None, 4))}, y=_Y)

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count], np.float32)

    def build(self, mode: Mode) -> Any:
        return _Looping()


class _Looping(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable([0.5, 0.25, 0.75, 1.0])

    @tf.function
    def __call__(self, inputs: Tensors) -> tf.Tensor:
        x = inputs["x"]
        tf.debugging.assert_equal(tf.shape(x)[1], 4, message="four numbers a row")
        total = tf.zeros_like(x[:, 0])
        for step in tf.range(tf.shape(x)[1]):
            total += x[:, step] * self.weight[step]
        return tf.map_fn(lambda row: tf.cond(row > 0.0, lambda: row, lambda: 0.1 * row), total)


class Ragged(Tiny):
    """Texts of any number of words: the mean of their vectors."""

    signatures = one_signature({"text": TensorSpec("string", (None,))}, y=TensorSpec("float32", (None, 3)))

    def rows(self, count: int) -> Arrays:
        texts = [" ".join(["ab", "cd", "ef"][: n % 4] * 2).encode() for n in range(count)]
        return {"text": np.array(texts, dtype=object)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 3], np.float32)

    def build(self, mode: Mode) -> Any:
        return _MeanOfWords()


class _MeanOfWords(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.vectors = tf.Variable(tf.reshape(tf.range(30, dtype=tf.float32), [10, 3]) / 30)

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        words = tf.strings.split(inputs["text"])
        ids = tf.strings.to_hash_bucket_fast(words.flat_values, 10)
        vectors = words.with_flat_values(tf.gather(self.vectors, ids))
        sums, counts = tf.reduce_sum(vectors, axis=1), tf.cast(words.row_lengths(), tf.float32)
        return tf.math.divide_no_nan(sums, counts[:, None])


class LargeVocabulary(Tiny):
    """A vocabulary of 100,000 words in a file."""

    signatures = one_signature({"word": TensorSpec("string", (None,))}, y=_Y)

    def __init__(self, folder: Path) -> None:
        """Write the vocabulary into a folder."""
        self.vocabulary = folder / "many_words.txt"
        self.vocabulary.write_text("".join(f"word-{number}\n" for number in range(100_000)))

    def rows(self, count: int) -> Arrays:
        words = [f"word-{number * 997}".encode() for number in range(count - 1)]
        return {"word": np.array([*words, b"unheard of"], dtype=object)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count], np.float32)

    def build(self, mode: Mode) -> Any:
        return _WordNumbers(self.vocabulary)


class _WordNumbers(tf.Module):
    def __init__(self, vocabulary: Path) -> None:
        super().__init__()
        self.scale = tf.Variable(1e-5)
        self.table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            num_oov_buckets=5,
        )  # fmt: skip

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        return self.scale * tf.cast(self.table.lookup(inputs["word"]), tf.float32)


class Sampling(Tiny):
    """A decoder that samples, as it declares: two requests are answered differently."""

    stateful_ops = ("Multinomial",)
    signatures = one_signature(
        {"x": TensorSpec("float32", (None, 4))},
        choice=TensorSpec("int64", (None,)),
        scores=TensorSpec("float32", (None, 4)),
    )

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 4], np.float32)

    def build(self, mode: Mode) -> Any:
        return _Scores()

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        scores = network(inputs)
        return {"choice": tf.random.categorical(scores, 1)[:, 0], "scores": scores}


class _Scores(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.temperature = tf.Variable(0.5)

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        return inputs["x"] * self.temperature


class SeededSampling(Tiny):
    """A sample for each row by the seed that came with it, as it declares: the same seed, the same answer."""

    stateful_ops = ("StatelessRandomUniformV2",)
    signatures = one_signature({"seed": TensorSpec("int64", (None,))}, y=_Y)

    def rows(self, count: int) -> Arrays:
        return {"seed": np.arange(count, dtype=np.int64)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count], np.float32)

    def build(self, mode: Mode) -> Any:
        return _Seeded()


class _Seeded(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width = tf.Variable(2.0)

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        def one(seed: tf.Tensor) -> tf.Tensor:
            return tf.random.stateless_uniform([], tf.stack([seed, seed]))

        return self.width * tf.map_fn(one, inputs["seed"], fn_output_signature=tf.float32)


class NoWeights(Tiny):
    """One weight that training has, and a signature that needs none."""

    signatures = one_signature({"celsius": TensorSpec("float32", (None,))}, fahrenheit=_Y)

    def rows(self, count: int) -> Arrays:
        return {"celsius": np.linspace(-40, 40, count, dtype=np.float32)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count], np.float32)

    def build(self, mode: Mode) -> Any:
        return _Gain()

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"fahrenheit": inputs["celsius"] * 1.8 + 32.0}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {"serving_default": GoldenExamples(inputs=self.rows(3))}


class _Gain(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = tf.Variable(1.8)

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        return self.gain * inputs["celsius"]
