"""Records a command as a moving picture: ``python site/record.py OUT.svg TITLE COMMAND…``.

All lines are there for a moment, and then appear at the times at which they came, long pauses
shortened; where nothing moves (a preview, a printer, reduced motion) all are there.
"""

from __future__ import annotations

import html
import os
import pty
import re
import select
import sys
import time
from pathlib import Path

WIDTH, LINE, LEFT, TOP, ADVANCE = 96, 20, 18, 58, 8.43
LONGEST = 0.8
"""Pauses are shortened to that many seconds."""
STYLE = """
.w{fill:#14171f}.b{fill:#222734}.t{fill:#8b93a7}
text{font:14px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d8dee9}
text{white-space:pre}
.p{fill:#7fd1b9}.k{fill:#e5c07b}
@media (prefers-reduced-motion:no-preference){.a{animation:a 1s 3s}}
@keyframes a{from,to{opacity:0}}
"""


def record(command: list[str]) -> list[tuple[float, str]]:
    """What the command writes to a terminal, with the seconds since its first words."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)  # noqa: S606 - a terminal is all the shell there is
    chunks: list[tuple[float, str]] = []
    started = shift = 0.0
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        started = started or time.monotonic()
        now = time.monotonic() - started
        # Nobody wants to watch a server start.
        shift += max(0.0, now - shift - (chunks[-1][0] if chunks else 0.0) - LONGEST)
        chunks.append((now - shift, data.decode(errors="replace")))
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"the command failed:\n{''.join(text for _, text in chunks)}")
    return chunks


def pieces(chunks: list[tuple[float, str]]) -> list[tuple[float, int, int, str]]:
    """Time, line, column and text of each piece; long lines go on below."""
    out = []
    line = column = 0
    for at, chunk in chunks:
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", chunk).replace("\r\n", "\n")
        for part in re.split(r"(\n)", text):
            if part == "\n":
                line, column = line + 1, 0
                continue
            rest = part
            while rest:
                room = WIDTH - column
                out.append((at, line, column, rest[:room]))
                column += len(rest[:room])
                rest = rest[room:]
                if rest:
                    line, column = line + 1, 0
    return out


def picture(title: str, chunks: list[tuple[float, str]]) -> str:
    """The SVG."""
    shown = pieces(chunks)
    lines = max(line for _, line, _, _ in shown) + 2
    width, height = round(2 * LEFT + WIDTH * ADVANCE), TOP + lines * LINE + 10
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="w" width="{width}" height="{height}" rx="10"/>',
        f'<rect class="b" width="{width}" height="32" rx="10"/>',
        f'<rect class="b" y="20" width="{width}" height="12"/>',
        f'<text class="t" x="{width / 2}" y="21" text-anchor="middle">{html.escape(title)}</text>',
        f'<text class="p" x="{LEFT}" y="{TOP}">$ {html.escape(title)}</text>',
    ]
    for at, line, column, text in shown:
        if text.strip():
            kind = "a k" if text.startswith("[") else "a"
            x, y = LEFT + column * ADVANCE, TOP + (line + 1) * LINE
            hidden = f"animation-duration:{at + 0.6:.2f}s"
            words = html.escape(text)
            body.append(f'<text class="{kind}" x="{x:.1f}" y="{y}" style="{hidden}">{words}</text>')
    return "\n".join([*body, "</svg>", ""])


def main() -> None:
    """From the command line."""
    out, title, *command = sys.argv[1:]
    chunks = record(command)
    Path(out).write_text(picture(title, chunks), encoding="utf-8")
    print(f"{out}: {chunks[-1][0]:.1f} s, {len(chunks)} pieces")


if __name__ == "__main__":
    main()
