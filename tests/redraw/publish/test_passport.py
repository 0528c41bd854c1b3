"""The passport of tiny published versions, read by the parsers of those who get it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema.validators import Draft7Validator
from markdown_it import MarkdownIt
from rfc3986_validator import validate_rfc3986

from redraw.__main__ import main
from redraw.definition import Threshold
from redraw.errors import InvalidRequest, ObjectConflict, SignatureInvalid, VerificationFailed
from redraw.publish.bucket.layout import attachment_name, encode_record, release_name
from redraw.publish.live.set_live import change_live
from redraw.publish.passport.evaluations import evaluate_checks
from redraw.publish.passport.passport import PASSPORT_FILES, write_passport
from redraw.publish.passport.text import encode_yaml, escape_markdown
from redraw.publish.push.push import push_model
from redraw.publish.verify import verify_version
from redraw.records import Check, ExportedModel, MadeBy, Release, ValidationReport
from redraw.records.attachments import Description
from redraw.records.results import Passport
from redraw.requests import LiveRequest, PassportRequest, PushRequest, VerifyRequest
from redraw.serving import Latency
from redraw.storage.opening import open_storage
from redraw.uri import Uri
from redraw.validate.checks.answers.metrics import _bound
from redraw.validate.checks.behaviour.latency import encode_latency
from tests.publishing.exports import small_files, write_export

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")

FILES = (
    "card.md",
    "provenance.intoto.json",
    "evaluation.intoto.json",
    "bom.cdx.json",
    "inference-service.yaml",
    "helm-values.yaml",
)
WEIGHTS = b"0" * 2_000_000
HOSTILE = (
    "a | b\n\n# Approved\n\n- x\n1. y\n```\n<script>alert(1)</script> ![i](http://e.example/i.png)"
    ' [l](javascript:x) **b** `c` ~~d~~ &amp; www.e.example @ada $x$ \\| "q": {r: [s]} # t'
    "\u202e\u2028---\r\nlicense: mit"
)
MADE_BY = MadeBy(
    definition_digest="d" * 64,
    git_revision="a" * 40,
    git_dirty=True,
    tensorflow="2.21.0",
    keras="3.15.1",
    python="3.11.7",
    redraw="0.2.0",
    exported_at="2024-05-06T07:30:00Z",
)
_BETWEEN = Threshold(at_least=0.9, at_most=1)
CHECKS = (
    Check(
        name="metric-thresholds",
        status="passed",
        looked_at="the answers to labelled requests",
        expected=", ".join([_bound("accuracy", _BETWEEN), _bound("loss", Threshold(at_most=2))]),
        found="accuracy 0.95, loss 1.25",
    ),
    Check(
        name="golden-examples",
        status="passed",
        looked_at="the answers to 200 requests, and those of the checkpoint",
        expected="the same answers, floats within 1e-05",
        found="the same; floats differ by 2.5e-07 at most",
    ),
    Check(
        name="latency-budget",
        status="passed",
        looked_at="requests of 1 and of 32 rows",
        expected="p50 at most 5 ms, at least 1,000 rows a second",
        found="fast",
    ),
    Check(
        name="live-metrics",
        status="not_run",
        looked_at="nothing",
        expected="no worse",
        found="not run: no live version",
        waived="the first version",
    ),
)


def figures(p50: float, rows: float) -> Latency:
    return Latency(p50_ms=p50, p95_ms=2, p99_ms=3, requests_per_second=9, rows_per_second=rows, requests=64)


LATENCY = encode_latency({"serving_default": (figures(0.5, 2000), figures(1.5, 16000))})

Publish = Callable[..., Release]


@Draft7Validator.FORMAT_CHECKER.checks("iri-reference")
def is_iri_reference(text: object) -> bool:
    """What jsonschema checks by rfc3987-syntax, which all programs that import it pay for.

    Source:
        https://www.rfc-editor.org/rfc/rfc3987#section-3.1
    """
    ascii_text = quote(str(text), safe="".join(map(chr, range(128))))
    return bool(validate_rfc3986(ascii_text, rule="URI_reference"))


def faults_of(bom: str) -> object:
    """The first fault that CycloneDX's schema finds in a bill of materials; None for none."""
    assert {"date-time", "idn-email", "iri-reference"} <= Draft7Validator.FORMAT_CHECKER.checkers.keys()
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom)


@pytest.fixture
def publish(bucket: str, tmp_path: Path) -> Publish:
    """Publishes a version with these checks, this latency.json, and changes of its records."""

    def make(
        checks: tuple[Check, ...] = CHECKS,
        latency: str = LATENCY,
        metric: str = "accuracy",
        made_by: MadeBy | None = MADE_BY,
        description: Description | None = None,
        **request: Any,
    ) -> Release:
        folder = tmp_path / "model"
        files = {**small_files(), "variables/variables.data-00000-of-00002": WEIGHTS}
        write_export(folder, files)
        record = ExportedModel.from_text(Path(f"{folder}.json").read_bytes(), "record")
        metrics = {metric: 0.5, "tiny": 1e-07, "loss": None}
        record = replace(record, made_by=made_by, checkpoint=replace(record.checkpoint, metrics=metrics))
        Path(f"{folder}.latency.json").write_text(latency)
        report = ValidationReport.from_text(Path(f"{folder}.report.json").read_bytes(), "report")
        attachments = {**report.attachments, "latency.json": f"{folder}.latency.json"}
        if description:
            Path(f"{folder}.definition.json").write_text(description.to_text())
            attachments["definition.json"] = f"{folder}.definition.json"
        report = replace(report, checks=checks, attachments=attachments)
        return push_model(
            PushRequest(model="digits", saved_model=record, report=report, bucket=bucket, **request)
        )

    return make


def passport(release: Release, folder: Path, public_key: str | None = None) -> dict[str, str]:
    written = write_passport(PassportRequest(uri=release.uri, out=str(folder), public_key=public_key))
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert written.files == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return {name: content.decode() for name, content in contents.items()}


def report_of(release: Release) -> dict[str, str]:
    return {check.name: check.status for check in verify_version(VerifyRequest(uri=release.uri)).checks}


def rewrite(bucket: str, name: str, content: bytes) -> None:
    storage = open_storage(bucket)
    found = storage.stat(name)
    assert found is not None
    storage.replace(name, content, found.generation)


def test_passport_is_the_same_twice_and_reads_no_weights(
    publish: Publish, tmp_path: Path, bytes_read: Callable[[], int]
) -> None:
    release = publish()
    before = bytes_read()
    first = passport(release, tmp_path / "one")
    assert bytes_read() - before < 100_000 < len(WEIGHTS)
    assert set(first) == set(FILES)
    assert passport(release, tmp_path / "two") == first
    # What is there of an earlier run is replaced.
    assert passport(release, tmp_path / "one") == first


def test_push_publishes_the_passport_that_the_command_copies(
    publish: Publish, bucket: str, tmp_path: Path
) -> None:
    release = publish(by="ada")
    listed = {name: release.attachments[name].sha256 for name in PASSPORT_FILES}
    files = passport(release, tmp_path / "copied")
    assert {name: hashlib.sha256(files[name].encode()).hexdigest() for name in PASSPORT_FILES} == listed
    # Made of the same records again it is the same, though it is listed among them now.
    assert passport(published_as(release), tmp_path / "made") == files


@pytest.mark.parametrize("name", PASSPORT_FILES)
def test_verify_names_a_passport_file_that_is_changed_or_gone(
    publish: Publish, bucket: str, name: str
) -> None:
    release = publish()
    assert report_of(release)["passport"] == "passed"
    stored = release.attachments[name].name
    rewrite(bucket, stored, b"somebody else's")
    with pytest.raises(VerificationFailed, match=rf"1 of 7 checks failed. passport: .*{stored}.*SHA-256"):
        report_of(release)
    storage = open_storage(bucket)
    storage.delete_many(storage.list(stored))
    with pytest.raises(VerificationFailed, match=rf"1 of 7 checks failed. passport: .*{stored}"):
        report_of(release)


def test_verify_of_a_version_without_a_passport_says_so(publish: Publish) -> None:
    release = published_as(publish())
    (check,) = (
        check for check in verify_version(VerifyRequest(uri=release.uri)).checks if check.name == "passport"
    )
    assert (check.status, check.found) == ("not_run", "the version was published without it")


def test_push_without_the_extra_leaves_the_bill_of_materials_out_and_says_so(
    publish: Publish, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "redraw.publish.passport.bom", raising=False)
    monkeypatch.setitem(sys.modules, "cyclonedx.model", None)
    release = publish()
    assert set(PASSPORT_FILES) - release.attachments.keys() == {"bom.cdx.json"}
    assert "install airflow-provider-redraw[passport]" in caplog.text
    assert report_of(release)["passport"] == "passed"


def test_push_of_damaged_latencies_is_published_without_a_passport(
    publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    release = publish(latency='{"schema": 1, "signatures": 5}')
    assert not set(PASSPORT_FILES) & release.attachments.keys()
    assert "published without a passport: " in caplog.text


def test_card_and_bill_of_materials_have_what_the_definition_says(publish: Publish, tmp_path: Path) -> None:
    description = Description(
        owner="growth@example.org",
        license="apache-2.0",
        intended_use="Reading digits.",
        limits="No letters.",
        data_sets=("mnist", "gs://data/digits", "mnist"),
    )
    files = passport(publish(description=description), tmp_path / "out")
    front = yaml.safe_load(files["card.md"].split("---\n")[1])
    assert (front["owner"], front["license"], front["limits"]) == (
        "growth@example.org",
        "apache-2.0",
        "No letters.",
    )
    assert front["datasets"] == list(description.data_sets)
    assert "## Intended use\n\nReading digits" in files["card.md"]
    assert faults_of(files["bom.cdx.json"]) is None
    bom = json.loads(files["bom.cdx.json"])
    model = bom["metadata"]["component"]
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["supplier"]["name"] == "growth@example.org"
    assert model["modelCard"]["considerations"] == {
        "useCases": ["Reading digits."],
        "technicalLimitations": ["No letters."],
    }
    data = {one["name"]: one for one in bom["components"] if one["type"] == "data"}
    assert data.keys() == {"checkpoint", "mnist", "gs://data/digits"}
    assert data["gs://data/digits"]["externalReferences"][0]["url"] == "gs://data/digits"


def test_deployments_next_to_models_config_follow_the_live_version(
    publish: Publish, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = publish(make_live=True)
    storage = open_storage(bucket)
    service = yaml.safe_load(storage.read("digits/inference-service.yaml") or b"")
    assert service["metadata"]["annotations"]["redraw-version"] == str(release.version)
    assert yaml.safe_load(storage.read("digits/helm-values.yaml") or b"")["model"]["digest"] == release.digest
    rewrite(bucket, "digits/helm-values.yaml", b"model: {}")
    monkeypatch.setenv("REDRAW_PASSPORT", "no")  # what is there must not lie
    change_live(LiveRequest(model="digits", bucket=bucket))
    assert yaml.safe_load(storage.read("digits/helm-values.yaml") or b"")["model"]["digest"] == release.digest


def test_provenance_names_files_materials_builder_and_by_products(publish: Publish, tmp_path: Path) -> None:
    release = publish(by="ada", dag_run="retrain/run 1", try_number=2, approved_by="grace")
    statement = json.loads(passport(release, tmp_path / "out")["provenance.intoto.json"])
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert subjects.keys() == release.generations.keys()
    assert subjects["variables/variables.data-00000-of-00002"] == hashlib.sha256(WEIGHTS).hexdigest()
    build, run = (statement["predicate"][key] for key in ("buildDefinition", "runDetails"))
    materials = {one["name"]: one for one in build["resolvedDependencies"]}
    assert materials["checkpoint"]["digest"] == {"redrawTensorsSha256": release.checkpoint.digest}
    assert materials["definition"]["digest"] == {"redrawSourcesSha256": "d" * 64}
    assert materials["repository"]["digest"] == {"gitCommit": "a" * 40}
    assert materials["tensorflow"]["uri"] == "pkg:pypi/tensorflow@2.21.0"
    assert run["builder"]["id"] == "urn:redraw:builder:airflow"
    assert run["metadata"] == {"invocationId": "retrain/run 1", "finishedOn": release.pushed_at}
    products = {one["name"]: one for one in run["byproducts"]}
    assert products["ledger.json"]["digest"]["sha256"] == release.attachments["ledger.json"].sha256
    assert products["release record"]["annotations"] == {
        "redrawReportSha256": release.provenance.report_digest
    }


def test_provenance_of_a_push_by_hand_without_code_names_what_there_is(
    publish: Publish, tmp_path: Path
) -> None:
    files = passport(publish(made_by=None, by="ada"), tmp_path / "out")
    predicate = json.loads(files["provenance.intoto.json"])["predicate"]
    assert predicate["runDetails"]["builder"]["id"] == "urn:redraw:builder:command"
    assert "invocationId" not in predicate["runDetails"]["metadata"]
    assert [one["name"] for one in predicate["buildDefinition"]["resolvedDependencies"]] == ["checkpoint"]
    assert faults_of(files["bom.cdx.json"]) is None


def test_evaluation_has_each_figure_of_each_check(publish: Publish, tmp_path: Path) -> None:
    statement = json.loads(passport(publish(), tmp_path / "out")["evaluation.intoto.json"])
    keys = ("check", "metric", "comparator", "threshold", "value", "passed", "sampleSize")
    assert [tuple(one[key] for key in keys) for one in statement["predicate"]["results"]] == [
        ("metric-thresholds", "accuracy", ">=", 0.9, 0.95, True, None),
        ("metric-thresholds", "accuracy", "<=", 1.0, 0.95, True, None),
        ("metric-thresholds", "loss", "<=", 2.0, 1.25, True, None),
        ("golden-examples", "largest_difference", "within", 1e-05, 2.5e-07, True, 200),
        ("latency-budget", "p50_ms", "<=", 5.0, 0.5, True, 64),
        ("latency-budget", "rows_per_second", ">=", 1000.0, 16000.0, True, 64),
        ("live-metrics", None, None, None, None, False, None),
    ]
    assert statement["predicate"]["results"][-1]["waived"] == "the first version"
    assert statement["predicate"]["checkpointMetrics"] == {"accuracy": 0.5, "tiny": 1e-07, "loss": None}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("no bounds", "no bounds to keep"),
        ("accuracy at least 1e999", "accuracy 1e999"),
        ("accuracy at least 0..9", "accuracy 0..9"),
        ("accuracy at least", "accuracy"),
        (HOSTILE, HOSTILE),
    ],
)
def test_evaluation_of_words_that_are_no_figures_has_none(expected: str, found: str) -> None:
    check = replace(CHECKS[0], expected=expected, found=found)
    report = ValidationReport(
        model="digits", digest="e" * 64, checks=(check,), passed=True, validated_at="2024-05-06T08:00:00Z"
    )
    (evaluation,) = evaluate_checks(report, {})
    assert (evaluation.threshold, evaluation.value) == (None, None)


def test_bill_of_materials_keeps_the_schema_and_names_card_files_and_libraries(
    publish: Publish, tmp_path: Path
) -> None:
    release = publish()
    files = passport(release, tmp_path / "out")
    assert faults_of(files["bom.cdx.json"]) is None
    bom = json.loads(files["bom.cdx.json"])
    assert faults_of(json.dumps(bom | {"metadata": bom["metadata"] | {"timestamp": "yesterday"}})) is not None
    assert faults_of(files["bom.cdx.json"].replace('"url": "', '"url": "a b')) is not None
    model = bom["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == (
        "machine-learning-model",
        "digits",
        str(release.version),
    )
    assert {one["name"] for one in model["components"]} == set(release.generations)
    card = next(one for one in model["externalReferences"] if one["type"] == "model-card")
    assert card["hashes"][0]["content"] == hashlib.sha256(files["card.md"].encode()).hexdigest()
    assert {"type": "accuracy", "value": "0.5"} in model["modelCard"]["quantitativeAnalysis"][
        "performanceMetrics"
    ]
    assert {one.get("purl") for one in bom["components"]} >= {"pkg:pypi/keras@3.15.1", None}


def test_deployments_name_the_version_and_its_digest(publish: Publish, tmp_path: Path) -> None:
    release = publish()
    files = passport(release, tmp_path / "out")
    service = yaml.safe_load(files["inference-service.yaml"])
    assert (service["kind"], service["metadata"]["name"]) == ("InferenceService", "digits")
    assert service["metadata"]["annotations"]["redraw-digest"] == release.digest
    assert service["spec"]["predictor"]["storageUris"] == [
        {"uri": release.uri, "path": f"/mnt/models/{release.version}"}
    ]
    values = yaml.safe_load(files["helm-values.yaml"])["model"]
    assert (values["uri"], values["digest"]) == (release.uri, release.digest)
    assert values["version"] == str(release.version)


def structure(card: str) -> tuple[list[str], set[str], Any]:
    """The kinds of a card's blocks, the kinds of what is in its lines, and its front matter."""
    _, front, text = card.split("---\n", 2)
    tokens = MarkdownIt("gfm-like").parse(text)
    inline = {child.type for token in tokens for child in token.children or ()}
    return [token.type for token in tokens], inline, yaml.safe_load(front)


@pytest.mark.parametrize(
    "text",
    ["- a", "+ a", "-", "1. a", "123. a", "1) a", "===", "---", "- - -", "* a", "> a", "    a", "-1.5", "a"],
)
def test_escape_markdown_of_what_begins_a_block_is_a_paragraph_of_that_text(text: str) -> None:
    tokens = MarkdownIt("gfm-like").parse(f"## Limits\n\n{escape_markdown(text)}\n")
    types = [token.type for token in tokens if not token.type.startswith("heading")]
    assert types == ["inline", "paragraph_open", "inline", "paragraph_close"]
    assert "".join(child.content for child in tokens[4].children or ()) == text.strip()


def test_card_of_hostile_texts_has_the_structure_of_plain_ones(
    publish: Publish, bucket: str, tmp_path: Path
) -> None:
    def checks(text: str) -> tuple[Check, ...]:
        return (
            *CHECKS[:3],
            replace(CHECKS[3], looked_at=text, expected=text, found=text, waived=text),
        )

    def describe(text: str) -> Description:
        return Description(
            owner=text, license=text, intended_use=text, limits=text, data_sets=(text, text + "2")
        )

    plain = publish(
        checks("plain"), by="ada", dag_run="dag/run", approved_by="grace", description=describe("plain")
    )
    blocks, inline, front = structure(passport(plain, tmp_path / "plain")["card.md"])
    assert inline == {"text"}
    assert front["metrics"][0] == {"name": "accuracy", "value": 0.5}
    assert front["metrics"][2] == {"name": "tiny", "value": 1e-07}
    record = replace(
        plain,
        provenance=replace(plain.provenance, asked_by=HOSTILE, dag_run=HOSTILE, approved_by=HOSTILE),
        checkpoint=replace(plain.checkpoint, metrics={HOSTILE: 0.5, "tiny": 1e-07, "loss": None}),
        report=replace(plain.report, checks=checks(HOSTILE)),
    )
    content = describe(HOSTILE).to_text().encode()
    sha256 = hashlib.sha256(content).hexdigest()
    name = attachment_name("digits", plain.version, "definition.json", sha256)
    said = replace(plain.attachments["definition.json"], name=name, size=len(content), sha256=sha256)
    open_storage(bucket).create(said.name, content)
    hostile = published_as(replace(record, attachments=plain.attachments | {"definition.json": said}))
    found = structure(passport(hostile, tmp_path / "hostile")["card.md"])
    assert found[:2] == (blocks, inline)
    assert found[2].keys() == front.keys()
    assert [one.keys() for one in found[2]["metrics"]] == [one.keys() for one in front["metrics"]]
    bom = (tmp_path / "hostile" / "bom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None


def test_passport_of_paths_that_are_no_uri_and_texts_that_are_no_utf8_keeps_the_schema(
    publish: Publish, tmp_path: Path
) -> None:
    no_text = "2 \ud800%zz"
    release = publish(
        made_by=replace(MADE_BY, tensorflow=no_text), description=Description(data_sets=(no_text, "50%"))
    )
    assert set(PASSPORT_FILES) <= release.attachments.keys()
    checkpoint = replace(release.checkpoint, uri=Uri("gs://catalogue/50%/a b#c"))
    files = passport(published_as(replace(release, checkpoint=checkpoint)), tmp_path / "out")
    assert faults_of(files["bom.cdx.json"]) is None
    bom = json.loads(files["bom.cdx.json"])
    (source,) = (one for one in bom["components"] if one["name"] == "checkpoint")
    assert source["externalReferences"][0]["url"].startswith("gs://catalogue/50%25/a%20b%23c")


def published_as(record: Release) -> Release:
    """Put a record without a passport in the place of the published one, with the digest of its report."""
    from redraw.publish.bucket.verified import digest_report

    provenance = replace(record.provenance, report_digest=digest_report(record.report))
    kept = {name: file for name, file in record.attachments.items() if name not in PASSPORT_FILES}
    record = replace(record, provenance=provenance, proofs=record.report.proofs, attachments=kept)
    bucket = str(record.uri.parent.parent)
    rewrite(bucket, release_name(record.model, record.version), encode_record(record))
    return record


@pytest.mark.parametrize("text", [HOSTILE, "", "- a", "'", "null", "1e5", "\U0001f600 \ud800", "é: x"])
def test_yaml_text_comes_back_as_one_text(text: str) -> None:
    loaded = yaml.safe_load(encode_yaml({"a": [{"b": text, "c": 1e-07}], "d": [], "e": None}))
    assert loaded == {"a": [{"b": loaded["a"][0]["b"], "c": 1e-07}], "d": [], "e": None}
    assert isinstance(loaded["a"][0]["b"], str)
    assert "\n" not in loaded["a"][0]["b"]


def test_passport_of_records_that_contradict_each_other_is_refused(
    publish: Publish, bucket: str, tmp_path: Path
) -> None:
    release = publish()
    record = replace(release, size_bytes=release.size_bytes + 1)
    rewrite(bucket, release_name("digits", release.version), encode_record(record))
    with pytest.raises(VerificationFailed, match="size: expected"):
        passport(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_passport_of_other_latencies_than_published_is_refused(
    publish: Publish, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_PASSPORT", "false")
    release = publish()
    assert not set(PASSPORT_FILES) & release.attachments.keys()
    rewrite(bucket, release.attachments["latency.json"].name, LATENCY.replace("0.5", "0.1").encode())
    with pytest.raises(ObjectConflict, match=r"latency\.json: expected the object"):
        passport(release, tmp_path / "out")


def test_passport_of_a_signed_version_needs_its_key(publish: Publish, tmp_path: Path) -> None:
    keys = {}
    for name in ("own", "other"):
        private, public = (str(tmp_path / f"{name}.{end}") for end in ("pem", "pub"))
        make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private]
        subprocess.run(make, check=True, capture_output=True)
        give = ["openssl", "ec", "-in", private, "-pubout", "-out", public]
        subprocess.run(give, check=True, capture_output=True)
        keys[name] = private, public
    release = publish(signing_key=keys["own"][0])
    assert "| Signed | yes |" in passport(release, tmp_path / "out", keys["own"][1])["card.md"]
    with pytest.raises(SignatureInvalid):
        passport(release, tmp_path / "refused", keys["other"][1])
    assert not (tmp_path / "refused").exists()


def test_passport_command_prints_what_it_wrote(
    publish: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = publish()
    assert main(["passport", release.uri, "--out", str(tmp_path / "out")]) == 0
    assert set(Passport.from_text(capsys.readouterr().out, "passport").files) == set(FILES)


def test_passport_into_a_file_is_refused(publish: Publish, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InvalidRequest, match="cannot write to this folder"):
        write_passport(PassportRequest(uri=publish().uri, out=str(tmp_path / "out")))
    assert (tmp_path / "out").read_text() == "mine"
