"""Does the definition draw the layers that the checkpoint's own file describes?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraw.checkpoint.formats.configuration import Configuration, read_configuration
from redraw.checkpoint.formats.writer import find_writer
from redraw.errors import CheckpointError, StorageError, short_list
from redraw.records import Check
from redraw.validate.checks.weights.table_contents import differing_tables
from redraw.validate.outcome import CannotRun, conclude

if TYPE_CHECKING:
    from redraw.checkpoint.formats.source import CheckpointSource
    from redraw.networks.layers.comparing import Comparison
    from redraw.networks.layers.layer import Model
    from redraw.validate.subject.subject import Subject

NAME = "file-configuration"


def check_file_configuration(subject: Subject) -> Check:
    """Compare layers and tables of the file with those that are served: the check `file-configuration`.

    Weights say nothing of an activation, an epsilon, a vocabulary, or the order of two layers; and what
    the definition answers is compared with the definition.

    Raises:
        CannotRun: The checkpoint is gone, or its configuration cannot be read.
    """
    source = subject.source
    try:
        configuration = read_configuration(source)
        tables = list(differing_tables(subject.graph, source, subject.folder / "assets"))
    except (CheckpointError, StorageError) as err:
        raise CannotRun(str(err), "Validate with the checkpoint that the export was made of.") from err
    compared = None if configuration is None else _compared(subject, configuration)
    unclear = _unclear(subject, described=compared is not None)
    if configuration is not None and configuration.other_assets:
        names = short_list(configuration.other_assets, "files")
        unclear.append(f"the file keeps {names}, which only the code of a layer reads: compare by hand")
    return conclude(
        NAME,
        looked_at=f"the layers' settings and the tables in {source.uri}, compared with those that are served",
        expected="the same settings where they change an answer, the same order of layers, and equal tables",
        found=_found(subject, compared),
        problems=[*(compared.problems if compared else ()), *unclear, *tables],
        advice="Make the definition's layers as the file has them; if a difference is wanted, such as a"
        " function of the last layer that serve applies by itself, say why:"
        f" --waive {NAME}=REASON.",
    )


def _compared(subject: Subject, configuration: Configuration) -> Comparison | None:
    # Imports TensorFlow, for which an export without a configuration need not wait.
    from redraw.networks.layers.comparing import compare_models
    from redraw.networks.layers.described import Unreadable, read_model
    from redraw.networks.layers.pairing import weights_from

    drawn = subject.standard.drawn_layers
    if not drawn.layers:
        return None
    try:
        described = read_model(configuration.model, keras_2=configuration.keras_2)
    except Unreadable as err:
        raise CannotRun(
            f"the configuration in {subject.source.uri} cannot be read as layers ({err})",
            f"Compare it by hand, then waive it: --waive {NAME}=REASON.",
        ) from err
    _complete(described, subject.source)
    served = ((row["variable"], row["key"]) for row in subject.ledger["served"])
    return compare_models(described, drawn, configuration.vocabularies, weights_from(served, subject.source))


def _complete(described: Model, source: CheckpointSource) -> None:
    """Say of layers what other parts of the file say: what they learned; low ranks are added already."""
    from redraw.networks.layers.pairing import names_in

    keys = dict(names_in(source))
    for layer in described.layers:
        if source.format == "keras":
            layer.settings = {key: value for key, value in layer.settings.items() if key != "lora_rank"}
        if layer.kind == "Normalization" and layer.settings.get("mean") is None:
            for number, part in enumerate(("mean", "variance")):
                key = keys.get(f"{layer.name}/{part}", keys.get(f"{layer.name}/{number}"))
                if key is not None:
                    layer.settings = {**layer.settings, part: source.read_array(key).ravel().tolist()}


def _unclear(subject: Subject, *, described: bool) -> list[str]:
    """What the definition draws by names and defaults that the writer of the file understands otherwise."""
    from redraw.networks.layers.meanings import other_masks, other_meanings

    writer = find_writer(subject.source)
    if writer.keras_3:
        return []
    drawn = subject.standard.drawn_layers
    return [*(() if described else other_meanings(drawn, writer)), *other_masks(drawn)]


def _found(subject: Subject, compared: Comparison | None) -> str:
    if compared is not None:
        rest = f"; not compared: {', '.join(compared.uncertain[:5])}" if compared.uncertain else ""
        return f"{compared.compared} layers compared, each the same{rest}"
    if read_configuration(subject.source) is None:
        return (
            f"no layer compared: a checkpoint of the format {subject.source.format} says nothing of them here"
        )
    return "no layer compared: the definition draws none of Keras"
