"""A request to a published version, from its page: `redraw examples` and `redraw ask` in worker processes."""

# No postponed annotations: FastAPI reads them as they stand here.

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

# One at a time in each process of the API server: a model may take all of its machine.
_turn = asyncio.Lock()

# Where the script of the page looks at the status; others are those of pages.
_STATUS: dict[type[RedrawError], int] = {NotAnswered: 422, NotLoadable: 422, WorkersBusy: 429}


def _demand_offered() -> None:
    if not TRY_IT.read():
        raise HTTPException(404)


router = APIRouter()


# The right is asked for first: who may not act does not learn what is offered.
_OFFERED = [Depends(acting_user), Depends(_demand_offered)]


@router.get("/models/{model}/{version}/example", dependencies=_OFFERED)
async def show_examples(browser: BrowserDep, model: str, version: int) -> Response:
    """What each signature takes and answers, and a first request for it."""
    try:
        asked = ExamplesRequest(
            model=ModelName(model), bucket=BucketUri(browser.storage.uri), version=version
        )
        shown = json.loads(await _run("examples", asked, _EXAMPLES_SECONDS, _EXAMPLES_MEMORY_BYTES))
        if not shown["can_be_asked"]:
            raise NotLoadable(
                f"{shown['uri']}: expected a sandbox to ask it in, got none on this machine"
                f" ({shown['sandbox']}). Ask a server that serves it."
            )
    except RedrawError as err:
        return _refusal(err)
    return JSONResponse({"signatures": shown["signatures"]})


@router.post("/models/{model}/{version}/trial", dependencies=_OFFERED)
async def ask_version(request: Request, browser: BrowserDep, model: str, version: int) -> Response:
    """Have the version answer one request: `{"signature": …, "inputs": {…}}`."""
    try:
        asked = AskRequest(
            model=ModelName(model),
            bucket=BucketUri(browser.storage.uri),
            version=version,
            seconds=_ANSWER_SECONDS,
            **_read_asked(await _read_body(request)),
        )
        return Response(await _ask(asked), media_type="application/json")
    except RedrawError as err:
        return _refusal(err)


async def _ask(asked: AskRequest) -> bytes:
    if _turn.locked():
        raise WorkersBusy("expected no other request, got one that is being answered. Ask again in a moment.")
    async with _turn:
        return await _run("ask", asked, _SECONDS, _MEMORY_BYTES)


async def _run(command: str, asked: StageRequest, seconds: float, memory_bytes: int) -> bytes:
    request = json.dumps(asked.to_json(), allow_nan=False).encode()
    arguments = ("-m", "redraw", command, "--request", "-")
    return await run_worker(arguments, request, seconds=seconds, memory_bytes=memory_bytes)


async def _read_body(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST_BODY:
            # The rest is not read: a client that sends more is not waited for.
            raise HTTPException(413, f"expected a request of at most {_MOST_BODY} bytes, got more.")
    return bytes(content)


def _read_asked(content: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(content)
    except (ValueError, RecursionError) as err:
        raise InvalidRequest(f"trial: expected a JSON object, got {err}. Correct the request.") from err
    if (
        not isinstance(asked, dict)
        or set(asked) != {"signature", "inputs"}
        or not isinstance(asked["signature"], str)
        or not isinstance(asked["inputs"], dict)
    ):
        raise InvalidRequest(
            'trial: expected {"signature": "…", "inputs": {…}}, got ' + f"{asked!r:.60}. Correct the request."
        )
    return asked


def _refusal(err: RedrawError) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(err, kind)), status_of(err))
    return JSONResponse({"error": type(err).__name__, "detail": str(err)}, status_code=status)
