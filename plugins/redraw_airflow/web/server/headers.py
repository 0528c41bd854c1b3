"""The headers that keep a page to itself, even where a value in it were not escaped."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
    "base-uri": "'none'",
}
# Others who use the browser, and caches on the way, keep nothing of what only some may see.
_UNKEPT = {"Cache-Control": "no-store"}
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class GuardingHeaders:
    """Adds them to each answer that does not bring its own.

    Args:
        app: What answers.
        public: Where the files are that anybody may see and keep.
    """

    def __init__(self, app: ASGIApp, public: str) -> None:
        self._app = app
        self._public = public

    def _is_public(self, scope: Scope) -> bool:
        return str(scope["path"]).removeprefix(str(scope.get("root_path", ""))).startswith(self._public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        # Asked first: a mounted part of the application changes the scope.
        kept = scope["type"] == "http" and self._is_public(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not kept:
                    headers.update(_UNKEPT)
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)
