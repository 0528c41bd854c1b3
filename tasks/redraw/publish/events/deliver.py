"""Deliver events to webhooks: signed, with a few retries and a time limit.

A failure never fails the publication. Undelivered events give one warning for each webhook, and are in the
command's record. None is lost: events are derived from the bucket's records, and `redraw events --deliver`
sends them again with the same ids.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import requests

import redraw
from redraw.errors import InvalidSetting, RedrawError, one_line
from redraw.publish.events.webhooks import Webhook, find_webhook
from redraw.records.events import ModelEvent
from redraw.setting_kinds import NAMES
from redraw.settings import WEBHOOKS

_logger = logging.getLogger(__name__)

_PAUSES = (0.0, 0.5, 1.5)
_ANSWER_SECONDS = 5.0
# Limit for all events of a command, for hosts that hang or answer slowly.
_MOST_SECONDS = 30.0
# After a failure, this process does not call the webhook for so long: a batch publishes hundreds of versions.
_REST_SECONDS = 300.0
_failed: dict[str, tuple[float, str]] = {}


class Undelivered(Exception):
    """A webhook did not accept a request; the message says why, without its URL."""


def announce(events: Sequence[ModelEvent]) -> tuple[ModelEvent, ...]:
    """Send events to every webhook of `REDRAW_WEBHOOKS`. It raises nothing, because the changes are made.

    Returns:
        The events, each with the webhooks that did not accept it.
    """
    try:
        names = dict.fromkeys(WEBHOOKS.read() if events else ())
    except InvalidSetting:
        # The error's message shows the text, which may be a secret URL.
        reason = f"{WEBHOOKS.variable}: expected {NAMES.expected}, got another text. Correct the setting."
        _logger.warning("no webhook is notified: %s", reason)
        return tuple(replace(event, undelivered=(reason,)) for event in events)
    deliveries = [_Delivery(name, events) for name in names]
    end = time.monotonic() + _MOST_SECONDS
    for delivery in deliveries:
        delivery.start()
    for delivery in deliveries:
        delivery.join(max(0.0, end - time.monotonic()))
    reasons = [delivery.reasons() for delivery in deliveries]
    return tuple(
        replace(event, undelivered=tuple(missed[event.id] for missed in reasons if event.id in missed))
        for event in events
    )


class _Delivery(threading.Thread):
    """Sends one webhook's events; a daemon, because the look-up of a host's name cannot be interrupted."""

    def __init__(self, name: str, events: Sequence[ModelEvent]) -> None:
        super().__init__(name=f"webhook-{name}", daemon=True)
        self._hook, self._events = name, events
        self._delivered: set[str] = set()
        self._reason = f"webhook {name}: expected an answer within {_MOST_SECONDS:g} s, got none"

    def run(self) -> None:
        """Send the events one after the other, until one fails."""
        failed_at, reason = _failed.get(self._hook, (0.0, ""))
        if failed_at and time.monotonic() - failed_at < _REST_SECONDS:
            self._reason = f"{reason}; not tried again within {_REST_SECONDS:g} s"
            return
        try:
            webhook = find_webhook(self._hook)
            for event in self._events:
                body = json.dumps(event.to_cloud_event(), allow_nan=False).encode()
                _send(webhook, body, "application/cloudevents+json; charset=utf-8", event.id)
                self._delivered.add(event.id)
        except Exception as err:  # no failure here may fail the publication
            explained = isinstance(err, RedrawError | Undelivered)
            self._reason = one_line(err, 500) if explained else f"webhook {self._hook}: {type(err).__name__}"
            _failed[self._hook] = time.monotonic(), self._reason

    def reasons(self) -> dict[str, str]:
        """The id of each undelivered event, with the reason; it also logs one warning."""
        delivered, reason = set(self._delivered), self._reason
        if self.is_alive():
            _failed[self._hook] = time.monotonic(), reason
        missed = [event for event in self._events if event.id not in delivered]
        if missed:
            first = missed[0]
            again = f"redraw events --model {first.source.name} --bucket {first.source.parent}"
            _logger.warning(
                "%s; not delivered: %d of %d events. Send them later: %s --since %s --deliver",
                reason,
                len(missed),
                len(self._events),
                again,
                first.at,
            )
        return {event.id: reason for event in missed}


def post(webhook: Webhook, body: bytes, content_type: str, event_id: str | None = None) -> None:
    """Send a body, with retries and a time limit; redirects are not followed.

    Args:
        webhook: The receiver.
        body: The content.
        content_type: Its type.
        event_id: By which a receiver recognizes a repetition; signed with the body. None: not signed.

    Raises:
        Undelivered: The webhook did not accept it.
        InvalidSetting: It must be signed, and the webhook has no secret.
    """
    outcome: Future[None] = Future()

    def send() -> None:
        try:
            _send(webhook, body, content_type, event_id)
            outcome.set_result(None)
        except Exception as err:  # raised below, by the thread that waits
            outcome.set_exception(err)

    thread = threading.Thread(target=send, name=f"webhook-{webhook.name}", daemon=True)
    thread.start()
    thread.join(_MOST_SECONDS)
    if not outcome.done():
        raise Undelivered(f"{webhook.label}: expected an answer within {_MOST_SECONDS:g} s, got none")
    outcome.result()


def _send(webhook: Webhook, body: bytes, content_type: str, event_id: str | None) -> None:
    reason, retry_after = "", 0.0
    for pause in _PAUSES:
        time.sleep(max(pause, retry_after))
        headers = {"content-type": content_type, "user-agent": f"redraw/{redraw.__version__}"}
        if event_id is not None:
            timestamp = int(time.time())
            signature = webhook.sign(event_id, timestamp, body)
            headers |= {"webhook-id": event_id, "webhook-timestamp": str(timestamp)}
            headers |= {"webhook-signature": signature}
        reason, retry_after = _try(webhook, body, headers)
        if not reason:
            return
        if retry_after > _ANSWER_SECONDS:
            break
    raise Undelivered(f"{webhook.label}: expected status 2xx, got {reason}")


def _try(webhook: Webhook, body: bytes, headers: dict[str, str]) -> tuple[str, float]:
    """Why a request was not accepted (empty if it was), and after how many seconds to retry."""
    try:
        with requests.Session() as session:
            session.auth = lambda request: request  # no credentials from the user's .netrc
            answer = session.post(
                webhook.url,
                data=body,
                headers=headers,
                timeout=_ANSWER_SECONDS,
                allow_redirects=False,
                stream=True,  # nobody reads the response's body
            )
            status, retry_after = answer.status_code, answer.headers.get("retry-after", "")
            answer.close()
    except requests.Timeout:
        return f"no answer in {_ANSWER_SECONDS:g} s", 0.0
    except (requests.RequestException, OSError, ValueError) as err:
        # Its text has the URL, which may be a secret.
        return f"no connection ({type(err).__name__})", 0.0
    if 200 <= status < 300:
        return "", math.inf
    if status < 500 and status not in {408, 429}:
        redirected = "; redirects are not followed" if 300 <= status < 400 else ""
        return f"{status}{redirected}", math.inf
    if not re.fullmatch("[0-9]{1,9}", retry_after):
        return str(status), 0.0
    return f"{status}, with Retry-After: {retry_after} s", float(retry_after)
