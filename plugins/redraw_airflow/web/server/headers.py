"""Security headers, which protect a page even if a value in it were not escaped."""

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
# Browsers and caches must not store pages, because not every user may see them.
_NOT_CACHED = {"Cache-Control": "no-store"}
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class GuardingHeaders:
    """Adds the security headers to each answer that does not set its own.

    Args:
        app: The application.
        public: The path of the files that anybody may see and cache.
    """

    def __init__(self, app: ASGIApp, public: str) -> None:
        self._app = app
        self._public = public

    def _is_public(self, scope: Scope) -> bool:
        return str(scope["path"]).removeprefix(str(scope.get("root_path", ""))).startswith(self._public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""
        # Read before the call, because a mounted part of the application changes the scope.
        is_public = scope["type"] == "http" and self._is_public(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not is_public:
                    headers.update(_NOT_CACHED)
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)
