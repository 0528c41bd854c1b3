"""How long after a server has a version `rollout` has seen it, and its answer to the recorded request."""

from __future__ import annotations

import random
import time

import numpy as np

from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import Workshop
from redraw.records import TensorSpec
from redraw.rollout.addresses import parse_servers
from redraw.rollout.client import Question
from redraw.rollout.watch import Plan, watch
from tests.model_server import ModelServers, running_servers

__all__ = ["measure_rollout"]

_LIMIT = 2.0
_LONGEST_LOAD = 6.0
_QUESTION = Question(
    signature="serving_default",
    inputs={"image": np.zeros((1, 28, 28), np.uint8)},
    outputs={"digit": np.array([7], np.int64)},
    specs={"digit": TensorSpec("int64", (None,))},
)


def measure_rollout(workshop: Workshop) -> tuple[Comparison, ...]:
    """A server that loads for a random time, by gRPC and by REST: from its readiness to the confirmation."""
    rng = random.Random(7)  # noqa: S311 - the same in each run
    with running_servers() as servers:
        ways = {
            f"TensorFlow Serving's {name}": lambda place=place: _measure(servers, place, rng)
            for name, place in (("gRPC", "grpc"), ("REST API", "rest"))
        }
        series = take_turns(ways, workshop.turns)
    title = "Rollout: from a server's readiness to its confirmation"
    return (Comparison(title=title, series=series, notes={"at most": f"{_LIMIT} s"}),)


def _measure(servers: ModelServers, place: str, rng: random.Random) -> Run:
    server = servers.start(
        versions={"7": "LOADING"},
        ready_after=rng.uniform(0.1, _LONGEST_LOAD),
        outputs={"digit": [7]},
        dtypes={"digit": "int64"},
    )
    plan = Plan(
        servers=parse_servers([getattr(server, place)]),
        model="digits",
        version=7,
        questions=(_QUESTION,),
        timeout=60.0,
    )
    (found,) = watch(plan)
    ended = time.monotonic()
    assert found.state == "confirmed", found
    assert server.ready_at is not None
    return Run(seconds=ended - server.ready_at)
