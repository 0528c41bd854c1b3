"""Draw a TF1 graph function for serving: a v1 MetaGraph without values of variables.

The graph has no values of variables, so drawing costs the same for every size. A server
loads the values by the `SaverDef`, whose restore operation reads the bundle by the
variables' names.
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
from redraw.export.graph.drawn import DrawnGraph, DrawnVariable, Places
from redraw.export.graph.graph_assets import name_assets, put_asset_names
from redraw.export.graph.pruning import reachable_nodes
from redraw.networks.graph_functions import DrawnSignature, draw_signature, group_by_saved_name, whole_shape

_INITIALIZER = "__saved_model_init_op"
_KEYS = tf.compat.v1.GraphKeys
_VARIABLES = (_KEYS.GLOBAL_VARIABLES, _KEYS.TRAINABLE_VARIABLES)
_VARIABLE_OPERATIONS = {"VarHandleOp", "VariableV2", "Variable"}
_FILLED_ONCE = {"HashTable", "HashTableV2", "AnonymousHashTable"}


def draw_graph_function(definition: GraphFunctionDefinition) -> DrawnGraph:
    """Draw every signature for SERVE with shared variables, and keep the nodes that they use.

    Returns:
        The graph, tagged `serve`; the same bytes each time the same definition is drawn.

    Raises:
        InvalidDefinition: The definition fails, returns other outputs than its signatures
            declare, or uses a variable that no checkpoint could restore.
    """
    with tf.Graph().as_default() as graph:
        with tf.compat.v1.variable_creator_scope(_create_without_value):
            with running_user_code(method_of(definition, f"build({Mode.SERVE})")):
                network = definition.build(Mode.SERVE)
            signatures = {n: draw_signature(definition, network, n) for n in sorted(definition.signatures)}
        ends = [t.op.name for s in signatures.values() for t in (*s.inputs.values(), *s.outputs.values())]
        initializer = _make_initializer(graph, reachable_nodes(graph.as_graph_def(), ends))
        reachable = reachable_nodes(graph.as_graph_def(), [*ends, initializer.name])
        drawn_variables = tf.compat.v1.global_variables()
        variables = _variables(definition, graph, reachable)
        _demand_filled(definition, graph, reachable)
        saver = tf.compat.v1.train.Saver(variables, allow_empty=True) if variables else None
        meta_graph = _meta_graph(graph, variables, saver)
        _describe(meta_graph, signatures, initializer if initializer.control_inputs else None)
        assets = name_assets(graph, reachable)
        idle = [v for v in drawn_variables if v.op.name not in reachable]
    put_asset_names(meta_graph, assets)
    make_canonical(meta_graph)
    return DrawnGraph(
        meta_graph=meta_graph,
        variables=_described(variables),
        known_by="key" if _is_saved_model(definition) else "name",
        places=Places(by_object=_keys(definition) if _is_saved_model(definition) else {}),
        unreached=(*_described(idle), *_unserved(definition)),
        assets={asset.name: asset.path for asset in assets},
    )


def _is_saved_model(definition: GraphFunctionDefinition) -> TypeGuard[RecordedDefinition]:
    return isinstance(definition, RecordedDefinition) and definition.is_saved_model


def _keys(definition: RecordedDefinition) -> dict[str, tuple[str, ...]]:
    """Variable's node to its key in the SavedModel's bundle."""
    return {variable.node: (variable.key,) for variable in definition.redrawn.variables}


def _unserved(definition: GraphFunctionDefinition) -> tuple[DrawnVariable, ...]:
    """The recorded variables that no output of the recording needs."""
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
    """Create a variable with zeros as its initial value, so that the graph stays small.

    The graph would otherwise contain random initializers and constants of any size. Local
    variables keep their values, because they are not in a checkpoint.
    """
    if _KEYS.LOCAL_VARIABLES in (arguments.get("collections") or ()):
        return next_creator(**arguments)
    shape, dtype = _traced(arguments["initial_value"], arguments.get("dtype"))
    if shape.is_fully_defined():
        arguments["initial_value"] = partial(tf.zeros, shape.as_list(), dtype)
    return next_creator(**arguments)


def _traced(initial: Any, dtype: Any) -> tuple[tf.TensorShape, tf.DType]:
    """The shape and dtype of an initial value, traced outside of the drawn graph."""
    with tf.Graph().as_default():
        try:
            value = initial() if callable(initial) else initial
        except ValueError:
            # It is computed from other tensors of the graph, so it has to stay there.
            return tf.TensorShape(None), dtype
        if not tf.is_tensor(value) and not isinstance(value, np.ndarray):
            value = tf.convert_to_tensor(value, dtype)
    return tf.TensorShape(value.shape), tf.as_dtype(dtype or value.dtype)


def _make_initializer(graph: tf.Graph, reachable: set[str]) -> Any:
    """One operation that fills the tables and local variables that are used."""
    definition = graph.as_graph_def()
    used = []
    for operation in tf.compat.v1.get_collection(_KEYS.TABLE_INITIALIZERS):
        tables = reachable_nodes(definition, [operation.name]) & reachable
        if any(_is_table(graph.get_operation_by_name(name)) for name in tables):
            used.append(operation)
    local = [v.initializer for v in tf.compat.v1.local_variables() if v.op.name in reachable]
    return tf.group(*used, *local, name="initialize")


def _is_table(operation: Any) -> bool:
    return any(out.dtype == tf.resource or is_reference(out.dtype) for out in operation.outputs)


def _variables(definition: GraphFunctionDefinition, graph: tf.Graph, reachable: set[str]) -> list[Any]:
    """The variables that signatures use; a Saver has to know each of them."""
    variables = [v for v in tf.compat.v1.global_variables() if v.op.name in reachable]
    names = {v.op.name for v in (*variables, *tf.compat.v1.local_variables())}
    strays = [
        op.name
        for op in graph.get_operations()
        if op.type in _VARIABLE_OPERATIONS and op.name in reachable and op.name not in names
    ]
    if strays:
        raise InvalidDefinition(
            f"{type(definition).__module__}.{type(definition).__name__}.graph: expected served variables in"
            f" the collection 'variables', got {short_list(strays, 'stray variables')} outside of the"
            " collection. Create variables with tf.compat.v1.get_variable, without the argument"
            " collections."
        )
    return variables


def _demand_filled(definition: GraphFunctionDefinition, graph: tf.Graph, reachable: set[str]) -> None:
    """Check that other state that signatures use is a table that its initializer fills."""
    initializers = tf.compat.v1.get_collection(_KEYS.TABLE_INITIALIZERS)
    filled = reachable_nodes(graph.as_graph_def(), [operation.name for operation in initializers])
    for operation in graph.get_operations():
        is_source = not operation.inputs or "HashTable" in operation.type
        is_table = operation.name in reachable and _is_table(operation) and is_source
        if not is_table or operation.type in _VARIABLE_OPERATIONS:
            continue
        if operation.type not in _FILLED_ONCE or operation.name not in filled:
            raise InvalidDefinition(
                f"{type(definition).__module__}.{type(definition).__name__}.graph: expected state that a"
                f" checkpoint or an initializer fills, got {operation.name!r} ({operation.type}), which"
                " would be served empty. Use a variable, or a tf.lookup.StaticHashTable that is"
                " initialized with the content of the checkpoint's table."
            )


def _meta_graph(graph: tf.Graph, variables: list[Any], saver: Any) -> Any:
    for key in _VARIABLES:
        served = [v for v in graph.get_collection(key) if any(v is other for other in variables)]
        graph.clear_collection(key)
        for variable in served:
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
    for name, tensors_of in signatures.items():
        signature = meta_graph.signature_def[name]
        signature.method_name = tf.saved_model.PREDICT_METHOD_NAME
        for described, tensors in (
            (signature.inputs, tensors_of.inputs),
            (signature.outputs, tensors_of.outputs),
        ):
            for key, tensor in tensors.items():
                described[key].name = tensor.name
                described[key].dtype = tensor.dtype.as_datatype_enum
                described[key].tensor_shape.CopyFrom(tensor.shape.as_proto())
    if initializer is not None:
        # Loaders look for the operation to run first as the output of this signature.
        described = meta_graph.signature_def[_INITIALIZER].outputs[_INITIALIZER]
        described.name = initializer.name
        described.tensor_shape.unknown_rank = True
