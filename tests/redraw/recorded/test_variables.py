"""Under which names a recording's Saver saves its variables."""

from __future__ import annotations

import tensorflow as tf

from redraw.recorded.graph import Graph
from redraw.recorded.variables import find_saved

tf1 = tf.compat.v1


def test_saved_names_are_those_of_the_saver_and_parts_are_places_in_their_whole() -> None:
    with tf.Graph().as_default() as drawn:
        renamed = tf1.get_variable("renamed", [2], use_resource=False)
        whole = tf1.get_variable("whole", [6, 3], partitioner=tf1.fixed_size_partitioner(2))
        tf1.get_variable("left_out", [4])
        saver = tf1.train.Saver({"other": renamed, "table": whole})
    nodes = ["left_out", "renamed", "whole/part_0", "whole/part_1"]
    graph = Graph(drawn.as_graph_def().node, {}, "a test")

    found = {variable.node: variable for variable in find_saved(graph, saver.saver_def, nodes)}

    assert {node: variable.key for node, variable in found.items()} == {
        "left_out": "left_out",
        "renamed": "other",
        "whole/part_0": "table",
        "whole/part_1": "table",
    }
    assert [node for node in nodes if not found[node].saved] == ["left_out"]
    parts = [found[f"whole/part_{part}"] for part in (0, 1)]
    assert [(part.shape, part.full_shape, part.offset) for part in parts] == [
        ((3, 3), (6, 3), (0, 0)),
        ((3, 3), (6, 3), (3, 0)),
    ]


def test_saved_name_of_a_variable_that_two_savers_save_is_its_own() -> None:
    with tf.Graph().as_default() as drawn:
        weights = tf1.get_variable("weights", [2], use_resource=True)
        tf1.train.Saver({"other": weights}, name="other_saver")
        tf1.train.Saver([weights], name="saver")
        tf1.train.Saver({"another": weights}, name="third_saver")
    graph = Graph(drawn.as_graph_def().node, {}, "a test")

    (found,) = find_saved(graph, tf1.train.SaverDef(), ["weights"])

    assert (found.key, found.saved) == ("weights", True)
