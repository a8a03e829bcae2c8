"""Looks at the site in a real browser: ``python site/browser.py SITE PICTURES``.

Each page is opened in windows of 400 and 1280 pixels; none may be wider than its window. Pictures
of the start, the tutorial and a page of the API are left in PICTURES, light and dark, narrow and
wide. Needs Debian's chromium.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

SHOWN = {"start": "", "tutorial": "tutorial/", "api": "reference/python/"}
SIZES = {"narrow": 400, "wide": 1280}
WIDER = """width => [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > width + 1)
  .slice(0, 3).map((one) => one.tagName + "." + one.className)"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    """All pages in all windows."""
    site, pictures = (Path(name).resolve() for name in sys.argv[1:3])
    pictures.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("chromium is not here (apt-get install chromium)")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    own = sorted(
        path.parent.relative_to(site).as_posix() + "/"
        for path in site.rglob("index.html")
        if path.relative_to(site).parts[0] not in {"node", "rust"}
    )
    wrong: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, width in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": 1000},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                )
                page = context.new_page()
                # Everything comes from the site itself.
                page.on(
                    "request",
                    lambda request: request.url.startswith(base) or wrong.append(request.url),
                )
                page.on("pageerror", lambda error: wrong.append(str(error)))
                for path in own if scheme == "light" else ():
                    page.goto(base + path)
                    found = page.evaluate("document.documentElement.scrollWidth")
                    if found > width:
                        what = page.evaluate(WIDER, width)
                        wrong.append(f"{path}: {found} pixels in a window of {width}: {what}")
                for title, path in SHOWN.items():
                    page.goto(base + path)
                    page.screenshot(path=str(pictures / f"{title}-{name}-{scheme}.png"))
                context.close()
            print(f"{len(own)} pages in a window of {width} pixels")
        browser.close()
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"no page is wider than its window; pictures in {pictures}")


if __name__ == "__main__":
    main()
