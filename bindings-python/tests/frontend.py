"""A front end for one kernel, without a browser: it runs cells, presses buttons, and stops them."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

__all__ = ["FrontEnd", "front_end"]

SECONDS = 30.0


class FrontEnd:
    """Speaks to a kernel as JupyterLab does: clicks go to a subshell, so they are heard at once.

    Without one it clicks as front ends do that know of none.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._widgets: dict[str, dict[str, Any]] = {}
        self._ended: dict[str, str] = {}
        self._subshell: str | None = None
        self.printed: dict[str, str] = {}
        self.outputs: dict[str, list[dict[str, Any]]] = {}
        """What each cell shows, as MIME bundles."""
        self._displays: dict[str, list[dict[str, Any]]] = {}

    def begin(self, source: str) -> str:
        """Runs a cell, and does not wait; gives its name."""
        cell = str(self._client.execute(textwrap.dedent(source).strip(), allow_stdin=True))
        self.printed[cell], self.outputs[cell] = "", []
        return cell

    def end(self, cell: str) -> str:
        """Waits for the end of a cell; gives what it printed, errors included."""
        self._until(lambda: cell in self._ended, f"the cell still runs: {self.printed[cell]}")
        return self.printed[cell].strip()

    def run(self, source: str) -> str:
        """Runs a cell to its end."""
        return self.end(self.begin(source))

    def press(self, text: str, *, subshell: bool = True) -> None:
        """Waits for a button that can be pressed, and presses it."""

        def there() -> str | None:
            for comm, state in self._widgets.items():
                is_button = state.get("_model_name") == "ButtonModel"
                if is_button and state["description"] == text and not state["disabled"]:
                    return comm
            return None

        self._until(lambda: there() is not None, f"no button {text}: {self.buttons()}")
        self._tell(there(), {"method": "custom", "content": {"event": "click"}}, subshell)

    def type(self, placeholder: str, text: str, *, subshell: bool = True) -> None:
        """Waits for a field that can be written in, and types into it."""

        def there() -> str | None:
            for comm, state in self._widgets.items():
                if state.get("placeholder") == placeholder and not state["disabled"]:
                    return comm
            return None

        self._until(lambda: there() is not None, f"no field {placeholder}")
        data = {"method": "update", "state": {"value": text}, "buffer_paths": []}
        self._tell(there(), data, subshell)

    def buttons(self) -> list[str]:
        """What is written on the buttons there are."""
        shown = self._widgets.values()
        return [one["description"] for one in shown if one.get("_model_name") == "ButtonModel"]

    def stop(self) -> None:
        """The stop button of a kernel with ``interrupt_mode: message``."""
        session = self._client.session
        self._client.control_channel.send(session.msg("interrupt_request", {}))

    def prompt(self, text: str) -> Any:
        """Waits for a box of the line for input, and says what it is a question of."""
        try:
            asked = self._client.get_stdin_msg(timeout=SECONDS)
        except Empty:
            raise AssertionError(f"nothing asks {text}") from None
        assert text in asked["content"]["prompt"]
        return asked

    def has_prompt(self, seconds: float) -> bool:
        """Whether another box comes within so many seconds."""
        try:
            self._client.get_stdin_msg(timeout=seconds)
        except Empty:
            return False
        return True

    def answer(self, asked: Any, text: str, *, named: bool = True) -> None:
        """Types into a box. JupyterLab names what it answers, jupyter console does not."""
        parent = asked if named else None
        reply = self._client.session.msg("input_reply", {"value": text}, parent=parent)
        self._client.stdin_channel.send(reply)

    def send_damaged(self) -> None:
        """Sends what is signed by nobody on the channel for answers."""
        parts = self._client.session.serialize(self._client.session.msg("input_reply", {}))
        parts[1] = b"0" * 64
        self._client.stdin_channel.socket.send_multipart(parts)

    def until_shown(self, cell: str, text: str) -> dict[str, Any]:
        """Waits for an output of a cell that has this in its plain text; gives its MIME bundle."""

        def there() -> list[dict[str, Any]]:
            return [one for one in self.outputs[cell] if text in one["text/plain"]]

        self._until(lambda: bool(there()), f"{text!r} is not shown")
        return there()[-1]

    def _tell(self, comm: str | None, data: dict[str, Any], subshell: bool) -> None:  # noqa: FBT001
        if subshell and self._subshell is None:
            session = self._client.session
            self._client.control_channel.send(session.msg("create_subshell_request", {}))
            reply = self._client.control_channel.get_msg(timeout=SECONDS)
            self._subshell = reply["content"]["subshell_id"]
        message = self._client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        if subshell:
            message["header"]["subshell_id"] = self._subshell
        self._client.shell_channel.send(message)

    def _until(self, condition: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            try:
                message = self._client.get_iopub_msg(timeout=deadline - time.monotonic())
            except (Empty, ValueError):
                raise AssertionError(problem) from None
            self._take(message)

    def _take(self, message: Any) -> None:
        content, parent = message["content"], message["parent_header"].get("msg_id", "")
        match message["msg_type"]:
            case "stream" if parent in self.printed:
                self.printed[parent] += content["text"]
            case "error" if parent in self.printed:
                self.printed[parent] += "\n".join(content["traceback"])
            case "display_data" | "execute_result" if parent in self.outputs:
                shown = dict(content["data"])
                self.outputs[parent].append(shown)
                name = content.get("transient", {}).get("display_id", "")
                self._displays.setdefault(name, []).append(shown)
            case "update_display_data":
                for shown in self._displays[content["transient"]["display_id"]]:
                    shown.clear()
                    shown.update(content["data"])
            case "status" if content["execution_state"] == "idle" and parent in self.printed:
                self._ended[parent] = parent
            case "comm_open":
                self._widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
            case "comm_msg" if content["data"].get("method") == "update":
                self._widgets[content["comm_id"]].update(content["data"]["state"])
            case "comm_close":
                self._widgets.pop(content["comm_id"], None)


@contextmanager
def front_end() -> Iterator[FrontEnd]:
    """Starts a kernel with somebody in front of it, and ends it."""
    manager: Any = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield FrontEnd(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
