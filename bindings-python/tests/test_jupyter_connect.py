"""``%letta connect`` without an address: what is taken, and what is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from letta_app_client import sync
from letta_app_client.jupyter._desk import Desk
from letta_app_client.testing import MockServer, script
from tests.kernel import Kernel, kernel

pytestmark = [
    # The kernel's own dependencies are not ours to mend.
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(os.name == "nt", reason="the stand-in for the server is a script"),
]

SERVER = f"""#!{sys.executable}
import threading
from letta_app_client.testing import MockServer, script
server = MockServer([script.turn("It is me.")])
print(f"Listening on {{server.url}} (stand-in)", flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def own() -> Iterator[Kernel]:
    """A kernel whose environment may be spoilt."""
    with kernel() as started:
        yield started


def prepared(one: Kernel, folder: Path, **variables: str) -> None:
    """A home and a folder of programs of its own, with the extension loaded."""
    known = {"HOME": str(folder), "PATH": str(folder / "bin"), **variables}
    one.run(
        "import os\n"
        "os.environ.pop('LETTA_URL', None)\n"
        f"os.environ.update({known!r})\n"
        "%load_ext letta_app_client"
    )


def test_the_address_in_the_environment(own: Kernel, tmp_path: Path) -> None:
    with MockServer([script.turn("Hello.")], token="s3cret") as mock:
        prepared(own, tmp_path, LETTA_URL=mock.url, LETTA_TOKEN="s3cret")
        assert own.run("%letta connect").printed == f"connected to {mock.url}"
        own.run("%letta use agent-1", "%%letta --quiet --into answer\n?")
        assert own.run("print(answer.text)").printed == "Hello."
        own.run("%letta disconnect", "del os.environ['LETTA_URL'], os.environ['LETTA_TOKEN']")


def test_no_address_and_no_server_to_start(own: Kernel, tmp_path: Path) -> None:
    prepared(own, tmp_path)
    error = own.run("%letta connect").error
    assert error.startswith("%letta: ")
    assert "letta server" in error
    assert "Traceback" not in error
    assert own.run("%letta status").printed == "not connected"


def test_a_server_is_started_and_another_notebook_joins_it(own: Kernel, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "letta"
    program.parent.mkdir()
    program.write_text(SERVER)
    program.chmod(0o755)
    with kernel() as second:
        first = own
        prepared(first, tmp_path)
        prepared(second, tmp_path)
        started = first.run("%letta connect").printed
        assert started.startswith("started a server, connected to ws://127.0.0.1:")
        address = started.rpartition(" ")[2]
        again = first.run("%letta connect").printed
        assert again == f"connected to {address}, which this notebook started"
        again = first.run(f"%letta connect {address}").printed
        assert again == f"connected to {address}, which this notebook started"
        joined = second.run("%letta connect").printed
        assert joined == f"joined a server that is already running, connected to {address}"
        assert second.run("%letta status").printed == f"open, {address}"
        for one in (first, second):
            one.run("%letta use agent-1", "%%letta --quiet --into answer\n?")
            assert one.run("print(answer.text)").printed == "It is me."
        # Who has only joined leaves it running.
        second.run("%letta disconnect")
        first.run("%%letta --quiet --into answer\n?")
        assert first.run("print(answer.text)").printed == "It is me."
        assert first.run("%letta disconnect").printed == "disconnected"
        again = second.run("%letta connect").printed
        assert again.startswith("started a server, connected to ws://127.0.0.1:")
        second.run("%letta disconnect")


def test_a_second_handle_is_closed_and_one_that_cannot_be_closed_keeps_nothing_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []

    def handle(name: str, *, joined: bool) -> Any:
        return SimpleNamespace(url="ws://x", joined=joined, close=lambda: closed.append(name))

    def broken() -> None:
        raise OSError("no")

    desk = Desk()
    desk.server, desk.client = handle("first", joined=False), handle("client", joined=False)
    monkeypatch.setattr(sync, "spawn_server", lambda *_, **__: handle("second", joined=True))
    monkeypatch.setattr(sync, "connect", lambda *_, **__: handle("later", joined=False))
    monkeypatch.delenv("LETTA_URL", raising=False)
    desk.connect(None, None, None)
    assert closed == ["second", "client"]
    first: Any = desk.server
    first.close = broken
    with pytest.raises(OSError, match="no"):
        desk.connect("ws://other", None, None)
    assert closed[2:] == ["later"]
    assert (desk.client is not None, desk.server) == (True, None)
