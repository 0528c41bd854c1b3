"""Keras 2 and Keras 3, for tests that build with either."""

from __future__ import annotations

from typing import Any

import keras
import tf_keras


def forget_names(kit: Any = keras) -> None:
    """Let it count automatic names from 1 again.

    Keras 3 would collect garbage as well, which takes 0.3 s in a process that has TensorFlow imported.
    """
    if kit is keras:
        keras.backend.clear_session(free_memory=False)
    else:
        tf_keras.backend.clear_session()
