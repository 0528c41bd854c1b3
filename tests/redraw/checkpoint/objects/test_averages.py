"""Which average belongs to which weight, and which belongs to none."""

from __future__ import annotations

import pytest

from redraw.checkpoint.objects.averages import find_averages, orphaned_averages
from tests.redraw.checkpoint.objects.trees import Tree, graph_of, numbered, variable

EMA = "/ExponentialMovingAverage"
TRAINED, AVERAGES = "_trainable_variables", "_model_variables_moving_average"


@pytest.mark.parametrize(
    ("keys", "averages", "orphans"),
    [
        (["w", f"w{EMA}", "v", f"w{EMA}/biased"], {"w": f"w{EMA}"}, []),
        (["w:0", f"w{EMA}:0"], {"w:0": f"w{EMA}:0"}, []),
        (["w:0", f"w{EMA}"], {"w:0": f"w{EMA}"}, []),
        (["w", "w:0", f"w{EMA}"], {"w": f"w{EMA}"}, []),
        ([f"x{EMA}", "w", f"a{EMA}"], {"x": f"x{EMA}", "a": f"a{EMA}"}, [f"a{EMA}", f"x{EMA}"]),
        (["w"], {}, []),
    ],
)
def test_averages_of_names_are_those_with_the_suffix(
    keys: list[str], averages: dict[str, str], orphans: list[str]
) -> None:
    assert find_averages(keys, None) == averages
    assert orphaned_averages(keys, None) == orphans


def test_averages_of_a_graph_are_those_with_the_suffix_whatever_their_keys() -> None:
    graph = graph_of(
        {
            "net": {"a": variable("net/a", "w"), "b": variable("net/b", "v")},
            "moved": {"a": variable("moved/a", f"w{EMA}"), "c": variable("moved/c", f"u{EMA}")},
        }
    )
    assert find_averages(["ignored"], graph) == {"net/a": "moved/a"}
    assert orphaned_averages(["ignored"], graph) == ["moved/c"]


def optimizer(weights: list[str], averages: list[tuple[str, str]]) -> Tree:
    """An optimizer, with its averages by key and full name."""
    return {
        "net": {f"weight_{number}": weight for number, weight in enumerate(weights)},
        "optimizer": {
            TRAINED: numbered(weights),
            AVERAGES: numbered(variable(*average) for average in averages),
        },
    }


def test_averages_of_an_optimizer_are_in_the_order_of_its_weights_by_number() -> None:
    """The eleventh of a list is not after the second one, but after the tenth."""
    weights = [f"layer_{number}/w" for number in range(12)]
    graph = graph_of(optimizer(weights, [(f"average_{number}", "any") for number in range(12)]))
    assert find_averages((), graph) == {weight: f"average_{n}" for n, weight in enumerate(weights)}
    assert orphaned_averages((), graph) == []


def test_averages_of_an_optimizer_for_some_of_its_weights_are_found_by_name() -> None:
    weights = ["net/kernel", "net/bias", "net/scale", "other/kernel", "twice"]
    averages = [
        ("of_kernel", "average/net/kernel"),
        ("of_bias", "adam/net_bias_average"),
        ("of_other", "other_kernel_average"),
        ("of_nothing", "net_offset_average"),
        ("of_two", "twice_average"),
        ("of_two_parts", "adam/net/scale_average"),
    ][::-1]
    tree = optimizer(weights, averages)
    graph = graph_of({**tree, "second": {"twice": variable("again", "twice")}})
    assert find_averages((), graph) == {
        "net/kernel": "of_kernel",
        "net/bias": "of_bias",
        "other/kernel": "of_other",
    }
    assert orphaned_averages((), graph) == ["of_nothing", "of_two", "of_two_parts"]


def test_averages_in_a_list_with_other_attributes_are_in_its_order() -> None:
    weights = ["first", "second"]
    tree = optimizer(weights, [])
    moved = {"b": variable("of_first", "any"), "a": variable("of_second", "any")}
    graph = graph_of({**tree, "optimizer": {**tree["optimizer"], AVERAGES: moved}})
    assert find_averages((), graph) == {"first": "of_first", "second": "of_second"}
