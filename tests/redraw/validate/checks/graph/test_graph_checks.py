"""What is wrong with a graph is found by the types of its operations, wherever they hide."""

from collections.abc import Callable

import pytest
from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

from redraw.definition.model import ModelDefinition
from redraw.records import Check
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.subject import Subject

RunCheck = Callable[[str, Subject], Check]

HARMLESS = 'name: "scaling" op: "{op}" input: "y"'


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("RandomUniform", "random"),
        ("StatelessRandomUniformV2", "random"),
        ("Multinomial", "random"),
        ("QueueDequeueV2", "queue"),
        ("RandomShuffleQueueV2", "queue"),
        ("IteratorGetNext", "iterator"),
        ("MapDataset", "iterator"),
        ("ScalarSummary", "summary"),
        ("WriteScalarSummary", "summary"),
        ("SaveV2", "save"),
        ("PrintV2", "print"),
        ("ResourceApplyAdam", "optimizer"),
        ("SparseApplyFtrl", "optimizer"),
        ("ReluGrad", "gradient"),
        ("Conv2DBackpropFilter", "gradient"),
        ("SymbolicGradient", "gradient"),
        ("AssignVariableOp", "update"),
        ("AssignAdd", "update"),
        ("LookupTableInsertV2", "update"),
        ("MutexV2", "state"),
    ],
)
def test_inference_ops_forbidden_type_is_named(op: str, kind: str, hand_made, run_check: RunCheck) -> None:
    hand_made.add(HARMLESS.format(op=op))
    hand_made.answer_with("scaling:0")
    check = run_check("inference-ops", hand_made.subject())
    assert check.status == "failed"
    assert f"signature 'serving_default' reaches {op} 'scaling' ({kind})" in check.found


@pytest.mark.parametrize(
    "op",
    [
        "StopGradient",
        "PreventGradient",
        "Conv2DBackpropInput",
        "LookupTableFindV2",
        "TensorArrayReadV3",
        "Assert",
        "ScatterNd",
        "StatelessRandomGetKeyCounter",
        "XlaOptimizationBarrier",
        "CheckNumerics",
    ],
)
def test_inference_ops_type_that_answers_passes(op: str, hand_made, run_check: RunCheck) -> None:
    hand_made.add(HARMLESS.format(op=op))
    hand_made.answer_with("scaling:0")
    assert run_check("inference-ops", hand_made.subject()).status == "passed"


def test_inference_ops_declared_type_passes_and_is_shown(hand_made, run_check: RunCheck) -> None:
    hand_made.add(HARMLESS.format(op="Multinomial"))
    hand_made.answer_with("scaling:0")
    hand_made.definition.stateful_ops = ("Multinomial",)
    check = run_check("inference-ops", hand_made.subject())
    assert check.status == "passed"
    assert check.found == "only the declared Multinomial"


def test_inference_ops_unreached_type_passes(hand_made, run_check: RunCheck) -> None:
    hand_made.add(HARMLESS.format(op="RandomUniform"))
    assert run_check("inference-ops", hand_made.subject()).status == "passed"


def test_inference_ops_behind_control_input_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.add(HARMLESS.format(op="AssignAddVariableOp"), 'name: "out" op: "Identity" input: "y"')
    hand_made.meta.graph_def.node[-1].input.append("^scaling")
    hand_made.answer_with("out:0")
    assert "AssignAddVariableOp 'scaling'" in run_check("inference-ops", hand_made.subject()).found


CALL = 'attr {{ key: "{attr}" value {{ {value} }} }}'


@pytest.mark.parametrize(
    ("caller", "attribute"),
    [
        ("PartitionedCall", CALL.format(attr="f", value='func { name: "outer" }')),
        ("While", CALL.format(attr="body", value='func { name: "outer" }')),
        ("Case", CALL.format(attr="branches", value='list { func { name: "outer" } }')),
        ("outer", ""),
    ],
)
def test_inference_ops_within_nested_calls_is_named(
    caller: str, attribute: str, hand_made, run_check: RunCheck
) -> None:
    hand_made.add_function("inner", "a", "r:output:0", 'name: "r" op: "RandomUniform" input: "a"')
    inner = CALL.format(attr="then_branch", value='func { name: "inner" }')
    hand_made.add_function("outer", "a", "c:output:0", f'name: "c" op: "If" input: "a" input: "a" {inner}')
    hand_made.add(f'name: "call" op: "{caller}" input: "y" {attribute}')
    hand_made.answer_with("call:0")
    found = run_check("inference-ops", hand_made.subject()).found
    assert "RandomUniform 'r' in function 'inner'" in found


def test_inference_ops_stateful_beside_a_functions_result_is_named(hand_made, run_check: RunCheck) -> None:
    """TensorFlow runs it although no result needs it."""
    nodes = ('name: "shown" op: "PrintV2" input: "a"', 'name: "dead" op: "ReluGrad" input: "a"')
    hand_made.add_function("f", "a", "a", *nodes)
    hand_made.add('name: "call" op: "f" input: "y"')
    hand_made.answer_with("call:0")
    found = run_check("inference-ops", hand_made.subject()).found
    assert "PrintV2 'shown'" in found
    assert "dead" not in found


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("PyFunc", "calls Python"),
        ("EagerPyFunc", "calls Python"),
        ("PyFuncStateless", "calls Python"),
        ("ReadFile", "reads or writes files"),
        ("WriteFile", "reads or writes files"),
        ("TFRecordReaderV2", "reads or writes files"),
        ("RpcClient", "communicates with other processes"),
        ("_Send", "communicates with other processes"),
    ],
)
def test_host_code_reached_type_is_named(op: str, reason: str, hand_made, run_check: RunCheck) -> None:
    hand_made.add(HARMLESS.format(op=op))
    hand_made.answer_with("scaling:0")
    check = run_check("host-code", hand_made.subject())
    assert check.status == "failed"
    assert f"reaches {op} 'scaling': it {reason}" in check.found


TABLE = (
    'name: "path" op: "{path}"',
    'name: "table" op: "HashTableV2"',
    'name: "held" op: "VarHandleOp" attr {{ key: "shared_name" value {{ s: "held" }} }}',
    'name: "hold" op: "AssignVariableOp" input: "held" input: "path"',
    'name: "read" op: "ReadVariableOp" input: "held" input: "^hold"',
    'name: "fill" op: "PartitionedCall" input: "table" input: "read"'
    ' attr {{ key: "f" value {{ func {{ name: "fill" }} }} }}',
    'name: "init" op: "NoOp" input: "^fill"',
)


def with_table(hand_made, *, declared: bool) -> Subject:
    """A table that a function fills from a file, whose path a variable keeps, as TensorFlow 2 does it."""
    hand_made.add(*(node.format(path="Placeholder" if declared else "Const") for node in TABLE))
    fill = 'name: "f" op: "InitializeTableFromTextFileV2" input: "t" input: "p"'
    hand_made.add_function("fill", "t p", "t", fill)
    hand_made.meta.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "init"
    if declared:
        asset = hand_made.meta.asset_file_def.add(filename="words.txt")
        asset.tensor_info.name = "path:0"
        hand_made.files["assets/words.txt"] = b"a\nb\n"
    return hand_made.subject()


def test_host_code_table_from_an_asset_passes(hand_made, run_check: RunCheck) -> None:
    check = run_check("host-code", with_table(hand_made, declared=True))
    assert check.found == "no Python and no files but 1 reads of assets"


def test_host_code_table_from_another_file_is_named(hand_made, run_check: RunCheck) -> None:
    found = run_check("host-code", with_table(hand_made, declared=False)).found
    assert "the initialization reaches InitializeTableFromTextFileV2 'f' in function 'fill'" in found


def test_unreached_functions_left_in_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.add_function("train_step", "a", "a")
    hand_made.add_function("loss", "a", "a")
    hand_made.add('name: "call" op: "loss" input: "y"')
    hand_made.answer_with("call:0")
    check = run_check("unreached-functions", hand_made.subject())
    assert check.found == "'train_step' is never called in serving"


def test_unreached_functions_of_a_table_pass(hand_made, run_check: RunCheck) -> None:
    hand_made.add_function("creator", "a", "c:output:0", 'name: "c" op: "helper"')
    hand_made.add_function("helper", "a", "a")
    nodes = hand_made.meta.object_graph_def.nodes
    nodes.add().resource.SetInParent()
    nodes.add().function.concrete_functions.append("creator")
    nodes[0].children.add(local_name="_create_resource", node_id=1)
    assert run_check("unreached-functions", hand_made.subject()).status == "passed"


def test_accelerator_ops_and_notes_are_named_wherever_they_are(hand_made, run_check: RunCheck) -> None:
    assert run_check("accelerator-ops", hand_made.subject()).found == "no such operation or attribute"
    noted = 'attr {{ key: "_XlaMustCompile" value {{ b: {} }} }}'
    hand_made.add_function("f", "a", "a", 'name: "inner" op: "CudnnRNNV3"')
    hand_made.add_function("CudnnOwn", "a", "a")
    hand_made.add(
        'name: "call" op: "CudnnOwn" input: "y"',
        'name: "tpu" op: "TPUReplicate"',
        f'name: "noted" op: "Identity" input: "y" {noted.format("true")}',
        f'name: "not" op: "Identity" input: "y" {noted.format("false")}',
    )
    hand_made.meta.graph_def.library.function[0].attr["_XlaMustCompile"].b = True
    check = run_check("accelerator-ops", hand_made.subject())
    assert check.status == "failed"
    for problem in (
        "function f is marked for compilation by XLA",
        "Identity 'noted' is marked for compilation by XLA",
        "TPUReplicate 'tpu' needs a TPU",
        "CudnnRNNV3 'inner' in function 'f' needs a GPU",
    ):
        assert problem in check.found
    assert "'not'" not in check.found
    assert "CudnnOwn 'call'" not in check.found


def test_custom_ops_unknown_type_is_named(hand_made, run_check: RunCheck) -> None:
    hand_made.add_function("f", "a", "a", 'name: "own" op: "MyCompanyOp"')
    check = run_check("custom-ops", hand_made.subject())
    assert check.found == "no TensorFlow release has the operation MyCompanyOp (node 'own' in function 'f')"


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (
            'name: "n" op: "FFTND"',
            "does not have the operation FFTND (node 'n'); the first release with it is 2.15",
        ),
        ('name: "n" op: "RelayoutGrad"', "the first release with it is 2.13"),
        (
            'name: "n" op: "BatchMatMulV2" attr { key: "grad_x" value { b: true } }',
            "does not have the attribute 'grad_x'; the first release that does is 2.16",
        ),
        (
            'name: "n" op: "AsString" attr { key: "T" value { type: DT_STRING } }',
            "does not accept string for the attribute 'T'; the first release that does is 2.13",
        ),
        ('name: "n" op: "BatchFFT"', "refuses BatchFFT 'n' in graphs of version 15 or later"),
        (
            'name: "n" op: "MatMul" attr { key: "T" value { type: DT_STRING } }',
            "does not accept string for the attribute 'T'; no release that Redraw knows does",
        ),
    ],
)
def test_serving_runtime_unknown_use_is_named(
    node: str, problem: str, hand_made, run_check: RunCheck
) -> None:
    hand_made.definition.serving_runtime = "2.12"
    hand_made.add(node)
    check = run_check("serving-runtime", hand_made.subject())
    assert check.status == "failed"
    assert problem in check.found


@pytest.mark.parametrize(
    ("node", "release"),
    [
        ('name: "n" op: "FFTND"', "2.15.0"),
        ('name: "n" op: "BatchMatMulV2" attr { key: "grad_x" value { b: false } }', "2.12"),
        ('name: "n" op: "MatMul" attr { key: "_made_by" value { b: true } }', "2.12"),
        ('name: "n" op: "AsString" attr { key: "T" value { type: DT_STRING } }', "2.13"),
    ],
)
def test_serving_runtime_known_use_passes(node: str, release: str, hand_made, run_check: RunCheck) -> None:
    hand_made.add(node)
    hand_made.definition.serving_runtime = release
    check = run_check("serving-runtime", hand_made.subject())
    assert check.status == "passed", check.found


@pytest.mark.parametrize(
    ("producer", "min_consumer", "problem"),
    [(99999, 12, "later than that of TensorFlow 2.21"), (1395, 2000, "needs graph version 2000")],
)
def test_serving_runtime_foreign_graph_version_is_named(
    producer: int, min_consumer: int, problem: str, hand_made, run_check: RunCheck
) -> None:
    hand_made.meta.graph_def.versions.producer = producer
    hand_made.meta.graph_def.versions.min_consumer = min_consumer
    assert problem in run_check("serving-runtime", hand_made.subject()).found


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        ('name: "n" op: "DecodeJxl"', "TensorFlow 2.20 does not have the operation DecodeJxl"),
        (
            'name: "n" op: "TensorListGetItem" attr { key: "Tshape" value { type: DT_INT64 } }',
            "TensorFlow 2.20 does not have the attribute 'Tshape'; the first release that does is 2.21",
        ),
    ],
)
def test_serving_runtime_default_newer_than_any_server_is_named(
    node: str, problem: str, hand_made, run_check: RunCheck
) -> None:
    hand_made.definition.serving_runtime = ModelDefinition.serving_runtime
    hand_made.add(node)
    assert problem in run_check("serving-runtime", hand_made.subject()).found


def test_serving_runtime_without_op_list_is_not_run(hand_made, run_check: RunCheck) -> None:
    hand_made.definition.serving_runtime = "1.15"
    with pytest.raises(CannotRun, match="only the operations of TensorFlow 2.12"):
        run_check("serving-runtime", hand_made.subject())


def test_graph_size_over_the_limit_is_named(hand_made, run_check: RunCheck) -> None:
    exported = hand_made.write()
    with (hand_made.folder / "saved_model.pb").open("r+b") as file:
        file.truncate(2**31)
    subject = hand_made.as_written(exported)
    assert run_check("graph-size", subject).found == f"{2**31} bytes"
    assert "saved_model.pb" not in run_check("files-whole", subject).found


@pytest.mark.parametrize("tags", [["train"], ["serve", "tpu"], []])
def test_serve_tag_other_tags_fail(tags: list[str], hand_made, run_check: RunCheck) -> None:
    hand_made.meta.meta_info_def.tags[:] = tags
    assert run_check("serve-tag", hand_made.subject()).status == "failed"


def test_serve_tag_second_graph_fails(hand_made, run_check: RunCheck) -> None:
    other = MetaGraphDef()
    other.meta_info_def.tags.append("train")
    hand_made.also.append(other)
    assert "2 graphs with the tags" in run_check("serve-tag", hand_made.subject()).found
