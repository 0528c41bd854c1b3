import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.errors import InvalidRequest
from redraw.train.cluster import Cluster, read_cluster


def environment(cluster: object, kind: object, index: object) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@given(st.booleans(), st.integers(0, 9))
def test_read_cluster_of_any_size_has_one_leader_and_a_place_for_each(chief: bool, workers: int) -> None:
    addresses = {"chief": ["c:1"] * chief, "worker": ["w:1"] * workers}
    cluster = {kind: found for kind, found in addresses.items() if found}
    places = [
        read_cluster(environment(cluster, kind, index))
        for kind in ("chief", "worker")
        for index in range(len(addresses[kind]))
    ]
    size = chief + workers
    assert places == [Cluster(workers=size, index=index) for index in range(size)]
    assert [place.leads for place in places] == [index == 0 for index in range(size)]


@pytest.mark.parametrize(
    "given_environment",
    [
        {},
        {"TF_CONFIG": "no JSON"},
        {"TF_CONFIG": "[]"},
        environment({"worker": ["w:1"]}, "worker", 1),
        environment({"worker": ["w:1"]}, "worker", -1),
        environment({"worker": ["w:1"]}, "chief", 0),
        environment({"worker": ["w:1"], "ps": ["p:1"]}, "worker", 0),
        environment({"chief": ["a:1", "b:1"]}, "chief", 1),
    ],
)
def test_read_cluster_without_a_place_in_it_is_refused(given_environment: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="expected TF_CONFIG with a cluster of worker"):
        read_cluster(given_environment)
