"""Run the local storage server until it is stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from redraw_airflow.standalone.storage_server.server import StorageServer


def main(arguments: list[str] | None = None) -> None:
    """Serve; the package's docstring shows the arguments."""
    parser = argparse.ArgumentParser(prog="storage_server", description="The local storage server.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--name", action="append", default=[], help="another name that clients may call it by"
    )
    parser.add_argument("--root", type=Path, required=True, help="the folder of the objects")
    parser.add_argument(
        "--token-file", type=Path, required=True, help="the file of the token that each request has to carry"
    )
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to make")
    options = parser.parse_args(arguments)
    token = options.token_file.read_text().strip()
    if not token:
        parser.error(f"{options.token_file}: expected a token, got an empty file")
    hosts = frozenset(f"{name}:{options.port}" for name in ("127.0.0.1", "localhost", *options.name))
    server = StorageServer((options.host, options.port), options.root, token, hosts)
    for bucket in options.bucket:
        server.objects.make_bucket(bucket)
    server.serve_forever()


if __name__ == "__main__":
    main()
