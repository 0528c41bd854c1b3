"""Draw a TF1 graph function for serving: a v1 MetaGraph, and no value of any variable.

A graph never holds its variables' values, so that drawing costs the same for every
size. The values reach a server as they always did with TF1: by the `SaverDef`, whose
restore operation reads the bundle by the variables' names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf

from redraw.compat.tensorflow import is_reference
from redraw.definition import GraphFunctionDefinition, Mode, RecordedDefinition
from redraw.definition.user_code import method_of, running_user_code
from redraw.errors import InvalidDefinition, short_list
from redraw.export.graph.canonical import make_canonical
from redraw.export.graph.drawn import DrawnGraph, DrawnVariable
from redraw.export.graph.graph_assets import name_assets, put_asset_names
from redraw.export.graph.pruning import reached_nodes
from redraw.networks.graph_functions import DrawnSignature, draw_signature, group_by_saved_name, whole_shape

_INITIALIZER = "__saved_model_init_op"
_KEYS = tf.compat.v1.GraphKeys
_VARIABLES = (_KEYS.GLOBAL_VARIABLES, _KEYS.TRAINABLE_VARIABLES)
_VARIABLE_OPERATIONS = {"VarHandleOp", "VariableV2", "Variable"}
_FILLED_ONCE = {"HashTable", "HashTableV2", "AnonymousHashTable"}


def draw_graph_function(definition: GraphFunctionDefinition) -> DrawnGraph:
    """Draw every signature for SERVE, share the variables, and keep what the signatures reach.

    Returns:
        The graph, tagged `serve`; the same bytes each time the same definition is drawn.

    Raises:
        InvalidDefinition: The definition fails, answers something else than its
            signatures say, or uses a variable that no checkpoint could restore.
    """
    with tf.Graph().as_default() as graph:
        with tf.compat.v1.variable_creator_scope(_create_without_value):
            with running_user_code(method_of(definition, f"build({Mode.SERVE})")):
                network = definition.build(Mode.SERVE)
            signatures = {n: draw_signature(definition, network, n) for n in sorted(definition.signatures)}
        ends = [t.op.name for s in signatures.values() for t in (*s.inputs.values(), *s.outputs.values())]
        initializer = _drawn_initializer(graph, reached_nodes(graph.as_graph_def(), ends))
        reached = reached_nodes(graph.as_graph_def(), [*ends, initializer.name])
        drawn_variables = tf.compat.v1.global_variables()
        variables = _variables(definition, graph, reached)
        _demand_filled(definition, graph, reached)
        saver = tf.compat.v1.train.Saver(variables, allow_empty=True) if variables else None
        meta_graph = _meta_graph(graph, variables, saver)
        _describe(meta_graph, signatures, initializer if initializer.control_inputs else None)
        assets = name_assets(graph, reached)
        idle = [v for v in drawn_variables if v.op.name not in reached]
    put_asset_names(meta_graph, assets)
    make_canonical(meta_graph)
    return DrawnGraph(
        meta_graph=meta_graph,
        variables=_described(variables),
        known_by="key" if _is_saved_model(definition) else "name",
        object_places=_keys(definition) if _is_saved_model(definition) else {},
        unreached=(*_described(idle), *_unserved(definition)),
        assets={asset.name: asset.path for asset in assets},
    )


def _is_saved_model(definition: GraphFunctionDefinition) -> TypeGuard[RecordedDefinition]:
    return isinstance(definition, RecordedDefinition) and definition.is_saved_model


def _keys(definition: RecordedDefinition) -> dict[str, tuple[str, ...]]:
    """Where a variable is saved, of those whose key is no name of an operation."""
    return {variable.node: (variable.key,) for variable in definition.redrawn.variables}


def _unserved(definition: GraphFunctionDefinition) -> tuple[DrawnVariable, ...]:
    """What training recorded and no output of the recording needs."""
    if not isinstance(definition, RecordedDefinition):
        return ()
    keys = {
        v.key: DrawnVariable(name=v.key, key=v.key, dtype=v.dtype, shape=v.full_shape or v.shape)
        for v in definition.redrawn.unserved
    }
    return tuple(keys.values())


def _described(variables: Iterable[Any]) -> tuple[DrawnVariable, ...]:
    return tuple(
        DrawnVariable(
            name=name,
            key=name,
            dtype=parts[0].dtype.base_dtype.name,
            shape=whole_shape(parts),
            trainable=bool(parts[0].trainable),
        )
        for name, parts in sorted(group_by_saved_name(variables).items())
    )


def _create_without_value(next_creator: Any, **arguments: Any) -> Any:
    """Create a variable whose initial value is zeros: nobody asks for it, and the graph stays small.

    Random initializers and constants of any size would be part of the graph otherwise.
    What is local is no part of a checkpoint, and keeps its value.
    """
    if _KEYS.LOCAL_VARIABLES in (arguments.get("collections") or ()):
        return next_creator(**arguments)
    shape, dtype = _traced(arguments["initial_value"], arguments.get("dtype"))
    if shape.is_fully_defined():
        arguments["initial_value"] = partial(tf.zeros, shape.as_list(), dtype)
    return next_creator(**arguments)


def _traced(initial: Any, dtype: Any) -> tuple[tf.TensorShape, tf.DType]:
    """The shape and dtype of an initial value, without leaving it in the graph that is drawn."""
    with tf.Graph().as_default():
        try:
            value = initial() if callable(initial) else initial
        except ValueError:
            # It is computed from other tensors of the graph: it has to stay there.
            return tf.TensorShape(None), dtype
        if not tf.is_tensor(value) and not isinstance(value, np.ndarray):
            value = tf.convert_to_tensor(value, dtype)
    return tf.TensorShape(value.shape), tf.as_dtype(dtype or value.dtype)


def _drawn_initializer(graph: tf.Graph, reached: set[str]) -> Any:
    """One operation that fills the tables and local variables that are used."""
    definition = graph.as_graph_def()
    used = []
    for operation in tf.compat.v1.get_collection(_KEYS.TABLE_INITIALIZERS):
        tables = reached_nodes(definition, [operation.name]) & reached
        if any(_is_table(graph.get_operation_by_name(name)) for name in tables):
            used.append(operation)
    local = [v.initializer for v in tf.compat.v1.local_variables() if v.op.name in reached]
    return tf.group(*used, *local, name="initialize")


def _is_table(operation: Any) -> bool:
    return any(out.dtype == tf.resource or is_reference(out.dtype) for out in operation.outputs)


def _variables(definition: GraphFunctionDefinition, graph: tf.Graph, reached: set[str]) -> list[Any]:
    """The variables that signatures reach; each of them is one that a Saver knows."""
    found = [v for v in tf.compat.v1.global_variables() if v.op.name in reached]
    known = {v.op.name for v in (*found, *tf.compat.v1.local_variables())}
    strays = [
        op.name
        for op in graph.get_operations()
        if op.type in _VARIABLE_OPERATIONS and op.name in reached and op.name not in known
    ]
    if strays:
        raise InvalidDefinition(
            f"{type(definition).__module__}.{type(definition).__name__}.graph: expected served variables in"
            f" the collection 'variables', got {short_list(strays, 'stray variables')} outside of it. Make"
            " variables by tf.compat.v1.get_variable, without collections of their own."
        )
    return found


def _demand_filled(definition: GraphFunctionDefinition, graph: tf.Graph, reached: set[str]) -> None:
    """Demand that what signatures reach and no Saver restores is a table that its initializer fills."""
    initializers = tf.compat.v1.get_collection(_KEYS.TABLE_INITIALIZERS)
    filled = reached_nodes(graph.as_graph_def(), [operation.name for operation in initializers])
    for operation in graph.get_operations():
        makes = not operation.inputs or "HashTable" in operation.type
        holds = operation.name in reached and _is_table(operation) and makes
        if not holds or operation.type in _VARIABLE_OPERATIONS:
            continue
        if operation.type not in _FILLED_ONCE or operation.name not in filled:
            raise InvalidDefinition(
                f"{type(definition).__module__}.{type(definition).__name__}.graph: expected state that a"
                f" checkpoint or an initializer fills, got {operation.name!r} ({operation.type}), which would"
                " be served empty. Use variables, and tables with an initializer (tf.lookup.StaticHashTable"
                " of what the checkpoint's table holds)."
            )


def _meta_graph(graph: tf.Graph, variables: list[Any], saver: Any) -> Any:
    for key in _VARIABLES:
        kept = [v for v in graph.get_collection(key) if any(v is one for one in variables)]
        graph.clear_collection(key)
        for variable in kept:
            graph.add_to_collection(key, variable)
    meta_graph = tf.compat.v1.train.export_meta_graph(
        graph=graph,
        saver_def=saver.as_saver_def() if saver is not None else None,
        collection_list=list(_VARIABLES),
        strip_default_attrs=True,
    )
    meta_graph.meta_info_def.tags.append(tf.saved_model.SERVING)
    return meta_graph


def _describe(meta_graph: Any, signatures: Mapping[str, DrawnSignature], initializer: Any) -> None:
    """Write the signatures, under the names of the definition."""
    for name, drawn in signatures.items():
        signature = meta_graph.signature_def[name]
        signature.method_name = tf.saved_model.PREDICT_METHOD_NAME
        for described, tensors in ((signature.inputs, drawn.inputs), (signature.outputs, drawn.outputs)):
            for key, tensor in tensors.items():
                described[key].name = tensor.name
                described[key].dtype = tensor.dtype.as_datatype_enum
                described[key].tensor_shape.CopyFrom(tensor.shape.as_proto())
    if initializer is not None:
        # As every loader expects the operation to run first: as the output of a signature.
        described = meta_graph.signature_def[_INITIALIZER].outputs[_INITIALIZER]
        described.name = initializer.name
        described.tensor_shape.unknown_rank = True
