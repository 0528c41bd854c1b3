import importlib.util
import json
from pathlib import Path

import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.op_def_pb2 import OpList

from redraw.serving.graph.runtimes.collect import ask_library, merge_op_lists
from redraw.serving.graph.runtimes.op_lists import read_releases


@pytest.fixture(scope="module")
def installed() -> tuple[OpList, GraphDef]:
    """What the installed TensorFlow's library says of itself, asked as collecting does."""
    package = importlib.util.find_spec("tensorflow")
    assert package is not None
    assert package.origin is not None
    return ask_library(str(Path(package.origin).with_name("libtensorflow_cc.so.2")))


def test_read_releases_lists_ten_releases_in_order() -> None:
    versions = read_releases().graph_versions
    assert list(versions) == [f"2.{number}" for number in range(12, 22)]
    assert sorted(versions.values()) == list(versions.values())


def test_read_releases_newest_is_what_the_installed_library_says(
    installed: tuple[OpList, GraphDef],
) -> None:
    op_list, graph = installed
    releases = read_releases()
    assert releases.graph_versions["2.21"] == graph.versions.producer
    # Runtimes for other hardware also have some of their own, which no file holds: `_…`.
    for op in (op for op in op_list.op if not op.name.startswith("_")):
        form = releases.known_at(op.name, "2.21")
        assert form is not None
        assert form.stateful == op.is_stateful
        assert set(form.defaults) == {attr.name for attr in op.attr}


def test_merge_op_lists_op_that_changes_and_goes_has_a_form_each_time() -> None:
    first, second, third, fourth = OpList(), OpList(), OpList(), OpList()
    for op_list in (first, second, fourth):
        op_list.op.add(name="Op")
    second.op.add(name="New").is_stateful = True
    fourth.op[0].attr.add(name="more").default_value.b = True
    graph = GraphDef()
    releases = {"2.1": (first, graph), "2.2": (second, graph), "2.3": (third, graph), "2.4": (fourth, graph)}
    ops = json.loads(merge_op_lists(releases))["ops"]
    assert [(form["first"], form["last"]) for form in ops["Op"]] == [("2.1", "2.2"), ("2.4", "2.4")]
    assert ops["New"] == [{"first": "2.2", "last": "2.2", "attrs": {}, "stateful": True}]
    assert ops["Op"][1]["attrs"] == {"more": {"default": "2801"}}
