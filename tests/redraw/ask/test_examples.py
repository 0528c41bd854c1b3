from __future__ import annotations

from dataclasses import replace

from redraw.ask.examples import example_requests
from redraw.records import Release, Signature, TensorSpec
from redraw.storage.opening import open_storage


def bucket_of(release: Release) -> str:
    return release.uri.removesuffix(f"/{release.model}/{release.version}")


def test_example_of_a_warm_up_request_is_its_first_row_and_zeros_stand_for_the_others(
    published: Release,
) -> None:
    found = example_requests(open_storage(bucket_of(published)), published)

    assert found["serving_default"] == {"x": [[0.1, 2.0]]}
    assert (found["words"], found["spin"]) == ({"word": [""]}, {"rounds": [0]})


def test_example_without_a_warm_up_file_fits_each_signature(published: Release) -> None:
    elsewhere = replace(published, version=published.version + 1)
    image = TensorSpec("uint8", (None, 2, 2))
    signatures = {"other": Signature(inputs={"image": image, "on": TensorSpec("bool", ())}, outputs={})}

    found = example_requests(open_storage(bucket_of(published)), replace(elsewhere, signatures=signatures))

    assert found == {"other": {"image": [[[0, 0], [0, 0]]], "on": False}}


def test_example_whose_recorded_dtype_is_another_is_not_taken(published: Release) -> None:
    signatures = {"serving_default": Signature(inputs={"x": TensorSpec("int32", (None, 2))}, outputs={})}

    found = example_requests(open_storage(bucket_of(published)), replace(published, signatures=signatures))

    assert found == {"serving_default": {"x": [[0, 0]]}}


def test_example_of_damaged_records_falls_back_to_zeros(published: Release) -> None:
    folder = published.uri.removeprefix(bucket_of(published) + "/")
    storage = open_storage(bucket_of(published))
    name = f"{folder}/assets.extra/tf_serving_warmup_requests"
    content, generation = storage.read_with_generation(name) or (b"", 0)
    storage.replace(name, content[:-9], generation)

    assert example_requests(storage, published)["serving_default"] == {"x": [[0, 0]]}
