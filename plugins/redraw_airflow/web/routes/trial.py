"""Requests to a published version from its page: `redraw examples` and `redraw ask` in worker processes."""

# No postponed annotations: FastAPI evaluates them.

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from redraw.errors import InvalidRequest, NotAnswered, NotLoadable, RedrawError
from redraw.names import ModelName
from redraw.requests import AskRequest, ExamplesRequest
from redraw.requests import Request as StageRequest
from redraw.uri import BucketUri
from redraw_airflow.settings import TRY_IT
from redraw_airflow.web.failures import status_of
from redraw_airflow.web.server.access import acting_user
from redraw_airflow.web.server.buckets import BrowserDep
from redraw_airflow.web.server.errors import WorkersBusy
from redraw_airflow.web.server.workers import run_worker

_MOST_BODY = 1_000_000  # bytes
_SECONDS = 60.0
_ANSWER_SECONDS = 30.0
_MEMORY_BYTES = 4 << 30
_EXAMPLES_SECONDS = 30.0
_EXAMPLES_MEMORY_BYTES = 1 << 30

# One trial at a time in each process of the API server: a model may use the whole machine.
_trial_lock = asyncio.Lock()

# Statuses that the page's script distinguishes; other errors have the status of pages.
_STATUS: dict[type[RedrawError], int] = {NotAnswered: 422, NotLoadable: 422, WorkersBusy: 429}


def _demand_offered() -> None:
    if not TRY_IT.read():
        raise HTTPException(404)


router = APIRouter()


# Rights are checked first, so that other users do not learn whether trials are offered.
_OFFERED = [Depends(acting_user), Depends(_demand_offered)]


@router.get("/models/{model}/{version}/example", dependencies=_OFFERED)
async def show_examples(browser: BrowserDep, model: str, version: int) -> Response:
    """The inputs and outputs of each signature, and an example request for it."""
    try:
        request = ExamplesRequest(
            model=ModelName(model), bucket=BucketUri(browser.storage.uri), version=version
        )
        answer = json.loads(await _run("examples", request, _EXAMPLES_SECONDS, _EXAMPLES_MEMORY_BYTES))
        if not answer["can_be_asked"]:
            raise NotLoadable(
                f"{answer['uri']}: the API server cannot load the model safely, because its machine has no"
                f" sandbox ({answer['sandbox']}). Send the request to a model server."
            )
    except RedrawError as err:
        return _refusal(err)
    return JSONResponse({"signatures": answer["signatures"]})


@router.post("/models/{model}/{version}/trial", dependencies=_OFFERED)
async def ask_version(request: Request, browser: BrowserDep, model: str, version: int) -> Response:
    """Have the version answer one request: `{"signature": …, "inputs": {…}}`."""
    try:
        trial = AskRequest(
            model=ModelName(model),
            bucket=BucketUri(browser.storage.uri),
            version=version,
            seconds=_ANSWER_SECONDS,
            **_parse_trial(await _read_body(request)),
        )
        return Response(await _ask(trial), media_type="application/json")
    except RedrawError as err:
        return _refusal(err)


async def _ask(request: AskRequest) -> bytes:
    if _trial_lock.locked():
        raise WorkersBusy("another request is being answered. Try again in a moment.")
    async with _trial_lock:
        return await _run("ask", request, _SECONDS, _MEMORY_BYTES)


async def _run(command: str, request: StageRequest, seconds: float, memory_bytes: int) -> bytes:
    text = json.dumps(request.to_json(), allow_nan=False).encode()
    arguments = ("-m", "redraw", command, "--request", "-")
    return await run_worker(arguments, text, seconds=seconds, memory_bytes=memory_bytes)


async def _read_body(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST_BODY:
            # The rest is not read, so that a client cannot keep the server busy.
            raise HTTPException(413, f"expected a request of at most {_MOST_BODY} bytes, got more.")
    return bytes(content)


def _parse_trial(content: bytes) -> dict[str, Any]:
    try:
        trial = json.loads(content)
    except (ValueError, RecursionError) as err:
        raise InvalidRequest(f"trial: expected a JSON object, got {err}. Correct the request.") from err
    if (
        not isinstance(trial, dict)
        or set(trial) != {"signature", "inputs"}
        or not isinstance(trial["signature"], str)
        or not isinstance(trial["inputs"], dict)
    ):
        raise InvalidRequest(
            'trial: expected {"signature": "…", "inputs": {…}}, got ' + f"{trial!r:.60}. Correct the request."
        )
    return trial


def _refusal(err: RedrawError) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(err, kind)), status_of(err))
    return JSONResponse({"error": type(err).__name__, "detail": str(err)}, status_code=status)
