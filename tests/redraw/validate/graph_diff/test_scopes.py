import pytest

from redraw.validate.graph_diff.kinds import align_scopes, layer_of, plain_scopes

AUTOMATIC = frozenset({"net", "dense", "dense_1", "dense_2"})


@pytest.mark.parametrize(
    ("drawn", "plain"),
    [
        # Drawn once: the names are the layers' own.
        (["net/dense", "net/dense_1", "net/dense_2"], ["net/dense", "net/dense_1", "net/dense_2"]),
        # Drawn again: each has got a number, also those that end in one.
        (
            ["net_1/dense_1", "net_1/dense_1_1", "net_1/dense_2_1"],
            ["net/dense", "net/dense_1", "net/dense_2"],
        ),
        # Operations' own scopes are nobody's layers.
        (["net_1/dense_1/MatMul_2", "mul_3"], ["net/dense/MatMul_2", "mul_3"]),
    ],
)
def test_plain_scopes_of_a_drawing_are_those_of_the_layers(drawn: list[str], plain: list[str]) -> None:
    found = plain_scopes(drawn, AUTOMATIC)

    assert [found[scope] for scope in drawn] == plain


def test_align_scopes_takes_the_only_one_of_the_same_stem() -> None:
    aligned = align_scopes(["model_3/cast", "extra"], ["model_1/cast", "model_1/drop", "loss_2"])

    assert aligned["model_3/cast"] == "model_1/cast"
    assert aligned["extra"] == "extra"


def test_align_scopes_with_two_of_the_same_stem_takes_neither() -> None:
    assert align_scopes(["block_3"], ["block_1", "block_2"])["block_3"] == "block_3"


@pytest.mark.parametrize(
    ("scope", "layer"),
    [("net/dense/MatMul", "net/dense"), ("dropout/random_uniform", "dropout"), ("", "")],
)
def test_layer_of_scope_is_the_innermost_layer_or_the_outermost_scope(scope: str, layer: str) -> None:
    assert layer_of(scope, AUTOMATIC) == layer
