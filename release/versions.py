"""Says the one version of all that is released: ``python release/versions.py [TAG]``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def read(name: str) -> str:
    """A file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def only(pattern: str, name: str) -> str:
    """What the pattern has in its group, once in the file."""
    (found,) = re.findall(pattern, read(name), re.MULTILINE)
    return str(found)


def versions() -> dict[str, str]:
    """The version by the place that states it."""
    lock = json.loads(read("bindings-node/package-lock.json"))
    crate = re.findall(r'name = "(letta-app-client[\w-]*)"\nversion = "(.*)"', read("Cargo.lock"))
    return {
        "Cargo.toml": only(r'^\[workspace\.package\]\nversion = "(.*)"', "Cargo.toml"),
        "Cargo.toml, the dependency": only(
            r'^letta-app-client = .*version = "(.*?)"', "Cargo.toml"
        ),
        **{f"Cargo.lock, {name}": version for name, version in crate},
        "package.json": json.loads(read("bindings-node/package.json"))["version"],
        "package-lock.json": lock["version"],
        "package-lock.json, the package": lock["packages"][""]["version"],
    }


def problems(tag: str | None = None) -> list[str]:
    """What is not as it must be."""
    found = versions()
    version = found["Cargo.toml"]
    wrong = [
        f"{place} has {other}, not {version}" for place, other in found.items() if other != version
    ]
    for name in ("core", "bindings-python", "bindings-node"):
        if "version.workspace = true" not in read(f"{name}/Cargo.toml"):
            wrong.append(f"{name}/Cargo.toml has a version of its own")
        if read(f"{name}/LICENSE") != read("LICENSE"):
            wrong.append(f"{name}/LICENSE differs from LICENSE")
    if 'dynamic = ["version"]' not in read("bindings-python/pyproject.toml"):
        wrong.append("bindings-python/pyproject.toml has a version of its own")
    changes = read("CHANGELOG.md")
    if tag is not None and tag != f"v{version}":
        wrong.append(f"the tag is {tag}, not v{version}")
    if tag is not None and f"## [{version}]" not in changes:
        wrong.append(f"CHANGELOG.md has no [{version}]")
    if "## [Unreleased]" not in changes:
        wrong.append("CHANGELOG.md has no [Unreleased]")
    return wrong


def main() -> None:
    """For the release."""
    wrong = problems(sys.argv[1] if len(sys.argv) > 1 else None)
    if wrong:
        sys.exit("\n".join(wrong))
    print("one version:", versions()["Cargo.toml"])


if __name__ == "__main__":
    main()
