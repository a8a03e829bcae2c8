"""Follows every link between the pages of the built site: ``python site/links.py FOLDER``."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the targets and the names."""
        for key, value in attrs:
            if key in {"href", "src"} and value and tag in {"a", "img", "link", "script"}:
                self.links.append(value)
            if key in {"id", "name"} and value:
                self.anchors.add(value)


def main() -> None:
    """Only the project's own pages are read: the other references check their links themselves."""
    root = Path(sys.argv[1]).resolve()
    pages: dict[Path, Page] = {}

    def page(path: Path) -> Page:
        if path not in pages:
            pages[path] = Page(path.read_text(encoding="utf-8"))
        return pages[path]

    own = [
        path
        for path in sorted(root.rglob("*.html"))
        if path.relative_to(root).parts[0] not in {"node", "rust"} and path.name != "404.html"
    ]
    wrong, count = [], 0
    for path in own:
        for link in page(path).links:
            target, anchor = urldefrag(link)
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            there = (path.parent / unquote(target)).resolve() if target else path
            if there.is_dir():
                there /= "index.html"
            count += 1
            if not there.is_file() or there.stat().st_size == 0:
                wrong.append(f"{path.relative_to(root)}: {link} is not there")
            elif anchor and there in own and unquote(anchor) not in page(there).anchors:
                wrong.append(f"{path.relative_to(root)}: {link} names no place there")
    if wrong:
        sys.exit("\n".join(sorted(set(wrong))))
    print(f"{len(own)} pages, {count} links")


if __name__ == "__main__":
    main()
