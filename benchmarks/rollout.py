"""Measure how soon `rollout` confirms a version after a server has loaded it."""

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
    """Time a server's readiness to its confirmation, by gRPC and REST, after a random loading time."""
    rng = random.Random(7)  # noqa: S311 - equal times in each run
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
    (result,) = watch(plan)
    end = time.monotonic()
    assert result.state == "confirmed", result
    assert server.ready_at is not None
    return Run(seconds=end - server.ready_at)
