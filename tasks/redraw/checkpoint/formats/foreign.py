"""Find the code that a model's configuration needs and Keras does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_OWN_MODULES = ("keras", "tf_keras", "builtins")
# Compiled Python code. Other classes between underscores are values of Keras:
# `__tensor__`, `__keras_tensor__`, `__bytes__`.
_LAMBDA = "__lambda__"
_CODE = ("Lambda", _LAMBDA, "function")
_VALUE = re.compile(r"__\w+__")
# Losses and metrics of the training are not served.
_TRAINING = "compile_config"
# Keras 2 names only classes. These are its layers, initializers, regularizers and constraints that do not
# run other code. TFOpLambda is not among them: it may call any TensorFlow function, also to read files.
_KERAS_2 = frozenset(
    """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
    BatchNormalization AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D
    AvgPool3D BatchNormalizationV1 BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop
    Concatenate Constant Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose
    ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D Convolution1DTranspose Convolution2D
    Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D Cropping2D Cropping3D
    CuDNNGRU CuDNNLSTM Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU
    EinsumDense Embedding Flatten Functional GRU GRUCell GRUV2 GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D
    GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlorotNormal GlorotUniform
    GroupNormalization HashedCrossing Hashing HeNormal HeUniform Identity InputLayer IntegerLookup
    L1 L1L2 L2 LSTM LSTMCell LSTMV2 LayerNormalization LeakyReLU LecunNormal LecunUniform
    LocallyConnected1D LocallyConnected2D Masking MaxNorm MaxPool1D MaxPool2D MaxPool3D MaxPooling1D
    MaxPooling2D MaxPooling3D Maximum MinMaxNorm Minimum Model MultiHeadAttention Multiply NonNeg
    Normalization Ones Orthogonal OrthogonalRegularizer PReLU Permute Policy RNN RadialConstraint
    RandomBrightness RandomContrast RandomCrop RandomFlip RandomHeight RandomNormal RandomRotation
    RandomTranslation RandomUniform RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape
    Resizing SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D
    Sequential SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization StackedRNNCells StringLookup Subtract TensorShape TextVectorization
    ThresholdedReLU TimeDistributed TruncatedNormal UnitNorm UnitNormalization UpSampling1D
    UpSampling2D UpSampling3D VarianceScaling ZeroPadding1D ZeroPadding2D ZeroPadding3D Zeros
    """.split()  # noqa: SIM905 - a hundred lines otherwise
)


def find_foreign(config: object, *, keras_2: bool = False) -> Iterator[str]:
    """The classes of a configuration that Keras does not have, and `Lambda`.

    Args:
        config: The configuration, parsed from JSON.
        keras_2: Whether Keras 2 wrote it, which knows classes only by their names.
    """
    if isinstance(config, list):
        for item in config:
            yield from find_foreign(item, keras_2=keras_2)
    if not isinstance(config, dict):
        return
    name = config.get("class_name")
    if isinstance(name, str) and "config" in config:
        own = _is_keras_2(name, config) if keras_2 else _is_own(config.get("module"))
        if name in _CODE or not (own or _VALUE.fullmatch(name)):
            yield str(config.get("registered_name") or name)
    if name is None and _is_byte_code(config.get("value")):
        yield _LAMBDA
    for key, item in config.items():
        if keras_2 and key in ("activation", "function") and _is_byte_code(item):
            yield _LAMBDA
        if key != _TRAINING:
            yield from find_foreign(item, keras_2=keras_2)


def find_files(config: object) -> Iterator[str]:
    """The files that building a model would read, such as vocabularies of layers."""
    if isinstance(config, list):
        for item in config:
            yield from find_files(item)
    if isinstance(config, dict):
        for key, item in config.items():
            if key in ("vocabulary", "filepath", "idf_weights") and isinstance(item, str):
                yield item
            yield from find_files(item)


def _is_own(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in _OWN_MODULES


def _is_keras_2(name: str, config: dict[str, Any]) -> bool:
    registered = config.get("registered_name")
    return name in _KERAS_2 and (registered is None or registered == name)


def _is_byte_code(value: object) -> bool:
    """Whether it is a function in the form of a layer's activation: code, defaults, and closure.

    A layer's inbound nodes look similar: a layer's name, and the numbers of its call and of its output.
    """
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and not all(isinstance(item, int) for item in value[1:])
    )
