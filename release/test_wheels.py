"""Installs the wheel on every CPython there is, in a bare environment, and runs a turn.

``python release/test_wheels.py FOLDER`` takes the one wheel in the folder. In the new environment
nothing but Python itself is in the PATH: no compiler, no Rust, no index of packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LARGEST = 3 * 1024 * 1024
OLDEST, PROGRAM = (3, 10), Path(__file__).with_name("newcomer.py")
FILES = ("letta_app_client/py.typed", "letta_app_client/_native.abi3.so", "/licenses/LICENSE")


def interpreters() -> dict[tuple[int, ...], str]:
    """The newest CPython of each minor version in the PATH and among pyenv's."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders += [version / "bin" for version in root.glob("*")]
    found: dict[tuple[int, ...], str] = {}
    ask = "import sys; print(sys.implementation.name, *sys.version_info[:3])"
    names = sorted({path for folder in folders for path in folder.glob("python3.[0-9]*")})
    for path in names:
        if not re.fullmatch(r"python3\.\d+t?", path.name):
            continue
        done = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
        kind, *version = done.stdout.split() or [""]
        number = tuple(int(part) for part in version)
        if kind == "cpython" and number >= OLDEST and "shims" not in path.parts:
            found[number] = str(path)
    newest = {number[:2]: number for number in sorted(found)}
    return {number: found[number] for number in newest.values()}


def look_inside(wheel: Path) -> None:
    """Size, tag and the files that others look for."""
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size:,} bytes")
    if size > LARGEST:
        sys.exit(f"the wheel has more than {LARGEST:,} bytes")
    if "-cp310-abi3-" not in wheel.name:
        sys.exit("the wheel is not one for all versions (cp310-abi3)")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in FILES:
        if sys.platform != "linux" and wanted.endswith(".so"):
            continue
        if not any(name.endswith(wanted) for name in names):
            sys.exit(f"{wanted} is not in the wheel")
    if sys.platform == "linux":
        show = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
        said = " ".join(
            subprocess.run(show, capture_output=True, text=True, check=True).stdout.split()
        )
        tag = re.search(r'platform tag: "(.*?)"', said)
        print("auditwheel:", tag[1] if tag else said)
        if tag is None or not tag[1].startswith("manylinux"):
            sys.exit("the wheel fits no manylinux")


def install(python: str, wheel: Path, folder: Path) -> None:
    """A fresh environment, the wheel from its file alone, and a turn."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    program = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    bare = {"PATH": str(program.parent), "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    if "SYSTEMROOT" in os.environ:
        bare["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    for tool in ("cc", "gcc", "cargo", "rustc", "zig"):
        if shutil.which(tool, path=bare["PATH"]):
            sys.exit(f"{tool} is in the bare environment")
    pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*pip, wheel], check=True, env=bare)
    subprocess.run([program, "-W", "error", PROGRAM], check=True, env=bare, cwd=folder)


def main() -> None:
    """All interpreters, one after the other."""
    (wheel,) = Path(sys.argv[1]).resolve().glob("*.whl")
    look_inside(wheel)
    found = interpreters()
    if not found:
        sys.exit("no CPython 3.10 or newer is here")
    for python in found.values():
        with tempfile.TemporaryDirectory() as folder:
            install(python, wheel, Path(folder) / "venv")
    print(f"{len(found)} passed, 0 failed")


if __name__ == "__main__":
    main()
