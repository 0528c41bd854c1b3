"""The documentation site: zensical builds it without network, then the built files are checked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["SITE", "SiteError", "build_site", "find_problems"]

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / ".redraw" / "site"
_SECONDS = 300
_QUIET = re.compile(r"(Build (started|finished).*|No issues found.*|Cleaned .*|)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# The script of zensical's plugin `offline` that makes the search work in pages opened as files.
_FOREIGN_WORKER = "https://unpkg.com/iframe-worker/shim"
_OWN_WORKER = "assets/javascripts/file_worker.js"
# Classes for which the theme fetches scripts: diagrams, picture galleries and consoles.
_FETCHING = re.compile(r"mermaid|glightbox|pyodide")


class SiteError(Exception):
    """The site has problems; the message has a line for each."""


def build_site() -> Path:
    """Build the site from scratch, and check it.

    Returns:
        The folder of the site.

    Raises:
        SiteError: There is a warning, a broken link, or something that a browser would fetch from elsewhere.
    """
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603
    lines = [_COLOURS.sub("", line) for line in (process.stdout + process.stderr).splitlines()]
    if warnings := [line for line in lines if not _QUIET.fullmatch(line.strip())]:
        raise SiteError("\n".join(warnings))
    if process.returncode:
        raise SiteError(f"zensical ended with {process.returncode}")
    # Its style sheets are at the root of the server, but most sites are elsewhere.
    (SITE / "404.html").unlink(missing_ok=True)
    _replace_worker(SITE)
    if problems := list(find_problems(SITE)):
        raise SiteError("\n".join(problems))
    return SITE


def _replace_worker(site: Path) -> None:
    shutil.copy(Path(__file__).parent / "static" / "file_worker.js", site / _OWN_WORKER)
    for page in site.rglob("*.html"):
        worker = "../" * (len(page.relative_to(site).parts) - 1) + _OWN_WORKER
        page.write_text(page.read_text().replace(_FOREIGN_WORKER, worker))


class _Page(HTMLParser):
    """The references, anchors and classes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.classes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element's references and anchors."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values.get("id", ""), values.get("name", "")}
        self.classes |= set(values.get("class", "").split())
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("next", "prev", "canonical"):
            self.loads.append(values.get("href", ""))
        elif "src" in values:
            self.loads.append(values["src"])


def find_problems(site: Path) -> Iterator[str]:
    """Find the problems of a built site, a line for each.

    Args:
        site: The folder of the site.
    """
    pages = {path: _Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(site)
        for url in page.loads:
            if urlsplit(url).netloc:
                yield f"{where}: expected nothing from elsewhere, got {url}"
            elif not urlsplit(url).scheme and not (path.parent / unquote(urlsplit(url).path)).exists():
                yield f"{where}: {url} does not exist"
        if classes := sorted(name for name in page.classes if _FETCHING.search(name)):
            yield f"{where}: the theme fetches scripts from elsewhere for {', '.join(classes)}"
        yield from (f"{where}: {url} leads nowhere" for url in page.links if not _leads(url, path, pages))
    for sheet in sorted(site.rglob("*.css")):
        for url in re.findall(r"url\(['\"]?(\w+:)?//[^)]*\)|@import[^;]*", sheet.read_text()):
            yield f"{sheet.relative_to(site)}: expected nothing from elsewhere, got {url}"


def _leads(url: str, path: Path, pages: dict[Path, _Page]) -> bool:
    split = urlsplit(url)
    if split.scheme or split.netloc:
        return True
    target = (path.parent / unquote(split.path)).resolve() if split.path else path
    if target not in pages:
        return target.is_file()
    return unquote(split.fragment) in pages[target].anchors
