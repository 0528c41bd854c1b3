"""What a configuration of Keras would run or read if a model were built of it."""

from __future__ import annotations

from typing import Any

import pytest

from redraw.checkpoint.formats.foreign import find_files, find_foreign


def layer(name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": config, **({} if module is None else {"module": module})}


CODE = ["4wEAAAAAAAAA", None, None]


@pytest.mark.parametrize(
    ("config", "keras_2", "found"),
    [
        (layer("Dense"), False, []),
        (layer("Sequential", layers=[layer("Dense"), layer("Own", "ours")]), False, ["Own"]),
        (layer("Own", None), False, ["Own"]),
        (layer("Dense", "kerasish.layers"), False, ["Dense"]),
        (layer("Lambda"), False, ["Lambda"]),
        ({**layer("Own", "ours"), "registered_name": "ours>Own"}, False, ["ours>Own"]),
        (layer("Dense", activation={"class_name": "function", "config": "relu", "module": "builtins"}), False,
         ["function"]),
        ({"config": {"value": CODE}}, False, ["__lambda__"]),
        ({"value": CODE}, False, ["__lambda__"]),
        ({"value": ["dense", 0, 0]}, False, []),
        ({"value": ["dense", 0]}, False, []),
        ({"class_name": 7, "config": {}}, False, []),
        ({"class_name": "Own"}, False, []),
        ({"compile_config": layer("Own", "ours")}, False, []),
        (layer("Dense", None), True, []),
        (layer("Own", None), True, ["Own"]),
        ({**layer("Dense", None), "registered_name": "Dense"}, True, []),
        ({**layer("Dense", None), "registered_name": "ours>Dense"}, True, ["ours>Dense"]),
        (layer("Dense", None, activation=CODE), True, ["__lambda__"]),
        (layer("Dense", None, kernel=CODE), True, []),
        ([layer("Own", None), [layer("Other", None)]], True, ["Own", "Other"]),
        ("Own", False, []),
    ],
)  # fmt: skip
def test_find_foreign_names_what_is_not_of_keras(config: Any, keras_2: bool, found: list[str]) -> None:
    assert list(find_foreign(config, keras_2=keras_2)) == found


def test_find_files_names_what_layers_would_read() -> None:
    layers = [
        layer("StringLookup", vocabulary="words.txt"),
        layer("StringLookup", vocabulary=["a", "b"]),
        layer("TextVectorization", idf_weights="weights.npy", other="no.txt"),
    ]
    assert list(find_files(layer("Sequential", layers=layers, filepath="saved"))) == [
        "words.txt",
        "weights.npy",
        "saved",
    ]
