"""What the site needs besides its pages; mkdocs calls these."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
SOURCES = "https://github.com/letta-ai/letta-app-client/blob/main/"
OTHERS = ("node/index.html", "rust/letta_app_client/index.html")
"""References that other tools write into the site once it is there (docs/rules.mk)."""
INNER = ("rust/letta_app_client/enum.ErrorKind.html",)


def on_config(config: Any) -> None:
    """Leaves out entries of pages that are not there."""
    config.nav = there(config.nav)


def there(entries: list[Any]) -> list[Any]:
    """The entries that have a page."""
    kept = []
    for entry in entries:
        ((title, target),) = entry.items()
        if isinstance(target, list):
            kept.append({title: there(target)})
        elif target in OTHERS or (ROOT / "docs" / target).is_file():
            kept.append(entry)
    return kept


def on_files(files: Files, config: Any) -> None:
    """Room for the other references, so that links to them are checked."""
    for path in (*OTHERS, *INNER):
        files.append(File.generated(config, path, content=""))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Documents of the project become pages; links out of ``docs`` go to the sources."""
    up = "../" * page.file.src_uri.count("/")

    def document(found: re.Match[str]) -> str:
        text = (ROOT / found[1]).read_text(encoding="utf-8")
        return re.sub(r"\]\((?!https?:|#)", f"](../{up}", text).replace(
            f"](../{up}docs/", f"]({up}"
        )

    markdown = re.sub(r'^--8<-- "([A-Z]+\.md)"$', document, markdown, flags=re.MULTILINE)

    def absolute(found: re.Match[str]) -> str:
        target, _, anchor = found[1].partition("#")
        folder = posixpath.dirname(page.file.src_uri)
        path = posixpath.normpath(posixpath.join("docs", folder, target))
        if path.startswith("docs/"):
            return found[0]
        if path.startswith("..") or not (ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: {target} is not in the repository")
        return f"]({SOURCES}{path}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\((\.\./[^)\s]*)\)", absolute, markdown)
