"""The README's quick starts, as printed, with nothing but the packages, against a real server.

    pip install letta-app-client
    npm install @letta/app-client-native

in empty folders. Both take the built files instead of a registry's:
``python release/test_newcomer.py target/dist``. ``LETTA_URL`` is the server's, as for the quick
starts themselves.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
ANSWER = r"end_turn ['\"]tok0 tok1 tok2 ['\"] \d+\n"
"""What the model of the live tests says to the quick start's prompt (N=3)."""


def printed(language: str) -> str:
    """The first block of a language in the README."""
    found = re.search(
        rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    if found is None:
        sys.exit(f"the README has no block of {language}")
    return found[1]


def check(language: str, started: float, said: str) -> None:
    """Whether the program printed the model's answer."""
    if not re.fullmatch(ANSWER, said):
        sys.exit(f"{language}: {said!r}")
    print(f"{language}: {time.monotonic() - started:.1f} s from an empty folder to {said.strip()}")


def python(folder: Path, packages: Path) -> None:
    """A new environment and the wheel."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    program = folder / "venv" / "bin" / "python"
    (folder / "quickstart.py").write_text(printed("python"), encoding="utf-8")
    pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    files = ["--no-index", "--only-binary", ":all:", "--find-links", packages / "python"]
    subprocess.run([*pip, *files, "letta-app-client"], check=True, cwd=folder)
    run = [program, "-W", "error", "quickstart.py"]
    done = subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    check("Python", started, done.stdout)


def node(folder: Path, packages: Path) -> None:
    """An empty folder and the tarballs."""
    started = time.monotonic()
    (folder / "quickstart.mjs").write_text(printed("js"), encoding="utf-8")
    install = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    tarballs = sorted((packages / "npm").resolve().glob("*.tgz"))
    subprocess.run([*install, *tarballs], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    run = ["node", "quickstart.mjs"]
    done = subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    check("Node", started, done.stdout)


def main() -> None:
    """Both, one after the other."""
    packages = Path(sys.argv[1]).resolve()
    if "LETTA_URL" not in os.environ:
        sys.exit("LETTA_URL is not set: use make newcomer")
    with tempfile.TemporaryDirectory() as folder:
        for what in (python, node):
            place = Path(folder) / what.__name__
            place.mkdir()
            what(place, packages)


if __name__ == "__main__":
    main()
