"""The definition of a model by the configuration that Keras saves with its weights."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from redraw.definition.model import ModelDefinition
from redraw.definition.parts import Mode
from redraw.errors import CheckpointCorrupt, CheckpointNotFound, InvalidDefinition
from redraw.records.json_text import parse_json
from redraw.storage.opening import read_uri
from redraw.uri import Uri

if TYPE_CHECKING:
    import tensorflow as tf

_MOST_BYTES, _DEEPEST = 64 << 20, 200


class ConfiguredDefinition(ModelDefinition):
    """A model of Keras' own layers by its configuration, of a `.keras` or a full `.h5` file.

    `redraw draft` writes one, with the configuration in a file next to it. The version of Keras that wrote it
    builds the network: Keras 3, or `tf_keras` for files of Keras 2. It can be exported, but not trained.

    Attributes:
        configuration: The file, local or in a bucket; a relative path begins at the definition's folder.
        digest: The file's SHA-256, in hex; another file is refused. Empty for any.

    Example:
        class Wine(ConfiguredDefinition):
            configuration = "wine.json"
            signatures = {
                "serving_default": Signature(
                    inputs={"x": TensorSpec("float32", (None, 13))},
                    outputs={"dense": TensorSpec("float32", (None, 3))},
                )
            }
    """

    configuration: ClassVar[str]
    digest: ClassVar[str] = ""

    @cached_property
    def stored(self) -> Mapping[str, Any]:
        """The file's content: `model`, and `keras_2`, whether Keras 2 wrote it.

        Raises:
            CheckpointNotFound: There is no file.
            CheckpointCorrupt: Its digest is not `digest`, or it is no configuration.
        """
        place = Uri(self.configuration)
        if not place.is_bucket and not Path(place).is_absolute():
            place = Uri(Path(inspect.getfile(type(self))).parent / place)
        content = read_uri(place, _MOST_BYTES + 1)
        if content is None:
            raise CheckpointNotFound(
                f"{place}: expected the model's configuration, found no such file. Draft the definition"
                " again ('redraw draft')."
            )
        actual = hashlib.sha256(content).hexdigest()
        if self.digest not in ("", actual):
            raise CheckpointCorrupt(
                f"{place}: expected the configuration with digest {self.digest:.12}… of the definition, got"
                f" {actual:.12}…. The file was replaced. Draft the definition again ('redraw draft')."
            )
        try:
            stored = parse_json(content, _MOST_BYTES, _DEEPEST)
            return {"model": {**stored["model"]}, "keras_2": bool(stored["keras_2"])}
        except (ValueError, KeyError, TypeError) as err:
            raise CheckpointCorrupt(
                f"{place}: expected a configuration written by 'redraw draft', got {str(err)[:100]}. Draft"
                " the definition again."
            ) from err

    def build(self, mode: Mode) -> Any:
        """The model; it is the same for every mode."""
        model = copy.deepcopy(self.stored["model"])  # both functions change their argument
        if self.stored["keras_2"]:
            import tf_keras

            return tf_keras.layers.deserialize(model)
        import keras

        return keras.saving.deserialize_keras_object(model, safe_mode=True)

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Answer with the model's outputs, in the signature's order."""
        import tensorflow as tf

        tensors = [inputs[name] for name in self.signatures[signature].inputs]
        answers = network(tensors if len(tensors) > 1 else tensors[0], training=False)
        return dict(zip(self.signatures[signature].outputs, tf.nest.flatten(answers), strict=True))

    def check(self) -> None:
        """Check the definition, and that it names its configuration.

        Raises:
            InvalidDefinition: It breaks the contract of definitions, or names no configuration.
        """
        if not getattr(self, "configuration", None):
            raise InvalidDefinition(
                f"definition {type(self).__module__}.{type(self).__name__}: expected a configuration, got"
                " none. Draft the definition with 'redraw draft'."
            )
        super().check()
