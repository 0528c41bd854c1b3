"""Addresses of model servers: parse what a person writes, and look up names.

    grpc://HOST:PORT[/NAME]            TensorFlow Serving; grpcs:// with TLS
    http://HOST:PORT[/NAME]            TensorFlow Serving's REST API; https:// with TLS
    kserve+http://HOST:PORT[/NAME]     KServe's protocol, version 2 or 1; kserve+https:// with TLS
    k8s://NAMESPACE/SERVICE:PORT[/NAME]   each pod of a headless service, by gRPC
    vertex://projects/P/locations/L/endpoints/E   an endpoint of Vertex AI

NAME is the model's name on the server, if it differs from the definition's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from redraw.errors import InvalidRequest, short_list

Protocol = Literal["grpc", "rest", "kserve", "vertex"]

_SCHEMES: dict[str, tuple[Protocol, bool]] = {
    "grpc": ("grpc", False),
    "grpcs": ("grpc", True),
    "k8s": ("grpc", False),
    "http": ("rest", False),
    "https": ("rest", True),
    "kserve+http": ("kserve", False),
    "kserve+https": ("kserve", True),
}
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_SERVER = re.compile(
    rf"(?P<scheme>[a-z0-9+]+)://(?:(?P<host>{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])"
    rf"|(?P<namespace>{_LABEL})/(?P<service>{_LABEL})):(?P<port>[0-9]{{1,5}})"
    r"(?:/(?P<name>[A-Za-z0-9_.-]{1,128}))?"
)
_VERTEX = re.compile(
    r"vertex://(?P<resource>projects/[a-z0-9:.-]{1,64}/locations/(?P<location>[a-z0-9-]{1,32})"
    r"/endpoints/[a-z0-9-]{1,63})"
)
_MOST, _LONGEST = 64, 512
_MOST_ADDRESSES = 256


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server, or several behind one name.

    Attributes:
        text: The text that was parsed.
        protocol: Its protocol.
        secure: Whether it uses TLS.
        host: Its DNS name or address.
        port: Its port.
        name: The model's name on the server; empty if it is the definition's.
        resource: For Vertex AI, the endpoint's name.
    """

    text: str
    protocol: Protocol
    secure: bool
    host: str
    port: int
    name: str = ""
    resource: str = ""

    def resolve(self) -> tuple[str, ...]:
        """Look up the IP addresses of the host.

        Raises:
            OSError: It has none.
        """
        if self.protocol == "vertex":
            return (self.host,)
        infos = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = dict.fromkeys(str(address[0]) for *_, address in infos)
        # A server often listens on only one of a machine's two loopback addresses.
        if self.host == "localhost" and len(addresses) > 1:
            addresses.pop("::1", None)
        return tuple(addresses)[:_MOST_ADDRESSES]


def parse_servers(texts: Iterable[str]) -> tuple[Server, ...]:
    """Parse servers, without duplicates.

    Args:
        texts: Servers; a text may have several, separated by commas.

    Raises:
        InvalidRequest: A server has another form, or there are none, or too many.
    """
    names = dict.fromkeys(text.strip().rstrip("/") for listing in texts for text in listing.split(","))
    names.pop("", None)
    if not 0 < len(names) <= _MOST:
        raise InvalidRequest(
            f"servers: expected 1 to {_MOST} servers, got {len(names)}. Set --servers or REDRAW_SERVERS."
        )
    return tuple(map(_parse, names))


def _parse(text: str) -> Server:
    if match := _VERTEX.fullmatch(text):
        host = f"{match['location']}-aiplatform.googleapis.com"
        return Server(
            text=text, protocol="vertex", secure=True, host=host, port=443, resource=match["resource"]
        )
    match = _SERVER.fullmatch(text) if len(text) <= _LONGEST else None
    in_cluster = bool(match and match["namespace"])
    if match is None or match["scheme"] not in _SCHEMES or in_cluster != (match["scheme"] == "k8s"):
        forms = short_list([f"{scheme}://HOST:PORT" for scheme in _SCHEMES if scheme != "k8s"], "forms", 9)
        raise InvalidRequest(
            f"servers: expected {forms}, k8s://NAMESPACE/SERVICE:PORT or"
            f" vertex://projects/P/locations/L/endpoints/E, got {text!r:.200}. Correct the address, and"
            " remove any user, password or path."
        )
    if not 0 < int(match["port"]) < 1 << 16:
        raise InvalidRequest(
            f"servers: expected a port from 1 to 65535, got {match['port']} in {text!r:.200}. Correct the"
            " port."
        )
    protocol, secure = _SCHEMES[match["scheme"]]
    return Server(
        text=text,
        protocol=protocol,
        secure=secure,
        host=f"{match['service']}.{match['namespace']}.svc" if in_cluster else match["host"].strip("[]"),
        port=int(match["port"]),
        name=match["name"] or "",
    )
