"""What a model server has to answer once it has the version: a request for each signature, and its answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from redraw.records.schema import ATTACHMENT_SCHEMA, SCHEMA
from redraw.serving.requests import count_rows, take_rows
from redraw.serving.values import encode_values
from redraw.validate.checks.behaviour.declared import declared_kinds

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject

_ROWS = 4
# What a request may hold; a larger row is left out, and its signature is not asked.
_MOST_VALUES = 1_000_000


def encode_golden(subject: Subject) -> str:
    """The content of `golden.json`: rows of the golden requests, and the C++ runtime's answers to just these.

    A signature whose declared operations sample or count is left out: it answers otherwise each time.
    """
    signatures, varying = {}, declared_kinds(subject)
    for name, request in subject.golden_requests.items():
        rows = count_rows(request)
        asked = request if rows is None else take_rows(request, np.arange(min(rows, _ROWS)))
        if varying.get(name) or sum(value.size for value in asked.values()) > _MOST_VALUES:
            continue
        answer = subject.served.answer(name, asked)
        if sum(value.size for value in answer.values()) <= _MOST_VALUES:
            signatures[name] = {
                "inputs": {key: encode_values(value) for key, value in asked.items()},
                "outputs": {key: encode_values(value) for key, value in answer.items()},
            }
    content = {SCHEMA: ATTACHMENT_SCHEMA, "tolerance": subject.definition.tolerance, "signatures": signatures}
    return json.dumps(content, allow_nan=False)
