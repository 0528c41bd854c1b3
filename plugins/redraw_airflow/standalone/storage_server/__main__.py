"""Run the local storage server till it is ended."""

from __future__ import annotations

import argparse
from pathlib import Path

from redraw_airflow.standalone.storage_server.server import StorageServer


def main(arguments: list[str] | None = None) -> None:
    """Serve; the arguments are those of the package's docstring."""
    parser = argparse.ArgumentParser(prog="storage_server", description="The local storage server.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--name", action="append", default=[], help="another name that clients may call it by"
    )
    parser.add_argument("--root", type=Path, required=True, help="the folder of the objects")
    parser.add_argument("--token-file", type=Path, required=True, help="what each request has to carry")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to make")
    asked = parser.parse_args(arguments)
    token = asked.token_file.read_text().strip()
    if not token:
        parser.error(f"{asked.token_file}: expected a token, got an empty file")
    hosts = frozenset(f"{name}:{asked.port}" for name in ("127.0.0.1", "localhost", *asked.name))
    server = StorageServer((asked.host, asked.port), asked.root, token, hosts)
    for bucket in asked.bucket:
        server.objects.make_bucket(bucket)
    server.serve_forever()


if __name__ == "__main__":
    main()
