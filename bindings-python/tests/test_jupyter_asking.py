"""Permissions by buttons and by the line for input, without a kernel."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from types import SimpleNamespace
from typing import Any

import ipywidgets
import pytest

import letta_app_client as letta
from letta_app_client.jupyter import _front, _stdin
from letta_app_client.jupyter._inputline import understood
from letta_app_client.jupyter._panel import Panel
from letta_app_client.jupyter._question import Question

pytestmark = pytest.mark.filterwarnings("default")


def request(**more: Any) -> letta.ApprovalRequest:
    body = {
        "subtype": "can_use_tool",
        "tool_name": "Edit",
        "input": {"file_path": "a.py", "old_string": "x", "new_string": "y"},
        "permission_suggestions": [{"id": "save", "text": "Edits in this project"}],
        **more,
    }
    return letta.ApprovalRequest(json.dumps({"type": "control_request", "request": body}))


class Shown:
    """A panel, and what was decided with it."""

    def __init__(self) -> None:
        self.decisions: list[letta.Decision] = []
        self.panel = Panel(request(), self.decisions.append)
        self.all: list[Any] = []
        self._add(self.panel._box)

    def _add(self, widget: Any) -> None:
        self.all.append(widget)
        for child in getattr(widget, "children", ()):
            self._add(child)

    def one(self, kind: type) -> Any:
        return next(one for one in self.all if type(one) is kind)

    def press(self, text: str) -> None:
        buttons = [one for one in self.all if isinstance(one, ipywidgets.Button)]
        next(one for one in buttons if one.description == text).click()


def test_buttons_decide() -> None:
    shown = Shown()
    buttons = [one for one in shown.all if isinstance(one, ipywidgets.Button)]
    controls = [*buttons, shown.one(ipywidgets.Text), shown.one(ipywidgets.Textarea)]
    assert all(one.disabled for one in controls)
    shown.panel.enable()
    assert not any(one.disabled for one in controls)
    assert "+ y" in shown.one(ipywidgets.HTML).value
    shown.press("Allow")
    shown.press("Always: Edits in this project")
    shown.press("Deny")
    shown.one(ipywidgets.Text).value = " not there "
    shown.press("Deny")
    assert shown.decisions == [
        letta.allow(),
        letta.allow(suggestions="save"),
        letta.deny("the user denied it"),
        letta.deny("not there"),
    ]
    assert "application/vnd.jupyter.widget-view+json" in shown.panel.data("plain")
    shown.panel.close()


def test_other_input_has_to_be_an_object() -> None:
    shown = Shown()
    area = shown.one(ipywidgets.Textarea)
    assert json.loads(area.value) == request().input.to_dict()
    for wrong in ("{", "[1]"):
        area.value = wrong
        shown.press("Allow with this input")
        assert shown.decisions == []
    assert any(
        "not a JSON object" in one.value for one in shown.all if type(one) is ipywidgets.HTML
    )
    area.value = '{"file_path": "b.py"}'
    shown.press("Allow with this input")
    assert shown.decisions == [letta.allow(updated_input={"file_path": "b.py"})]


@pytest.mark.parametrize(
    ("typed", "decision"),
    [
        ("y", letta.allow()),
        (" Yes ", letta.allow()),
        ("n", letta.deny("the user denied it")),
        ("no  not there", letta.deny("not there")),
        ("a", letta.allow(suggestions="save")),
        ('e {"x": 1}', letta.allow(updated_input={"x": 1})),
        ("e {", None),
        ("e 1", None),
        ("", None),
        ("maybe", None),
    ],
)
def test_what_is_typed_decides(typed: str, decision: letta.Decision | None) -> None:
    given = understood(typed, request())
    if decision is None:
        assert given is None
    else:
        assert given is not None
        assert given.to_dict() == decision.to_dict()


def test_always_needs_a_rule() -> None:
    assert understood("a", request(permission_suggestions=[])) is None


def test_a_request_shows_all_that_is_to_be_allowed() -> None:
    command = "echo hi\n" + "x" * 5000 + " end"
    html = request(tool_name="Bash", input={"command": command})._repr_html_()
    assert "x" * 5000 + " end" in html
    assert "<code>echo hi…</code>" in html
    long = {"file_path": "a.py", "content": "line\n" * 300 + "the last one"}
    assert "the last one" in request(tool_name="Write", input=long)._repr_html_()


def at_once(*calls: Any) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Meeting:
    """Lets threads go on when two have come, or after a while."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)

    def wait(self) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            self._barrier.wait(0.2)


def test_the_first_of_two_answers_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_front, "kernel", lambda: None)
    monkeypatch.setattr(_front, "publisher", lambda: None)
    question, meeting, said = Question(request()), Meeting(), []

    class Settled(threading.Event):
        def is_set(self) -> bool:
            known = super().is_set()
            meeting.wait()
            return known

        def set(self) -> None:
            said.append(question._decision)
            super().set()

    question._settled = Settled()
    at_once(*(lambda one=one: question._settle(one) for one in (letta.allow(), letta.deny("no"))))
    assert said == [question._decision]


def test_the_input_of_the_program_is_wrapped_once() -> None:
    meeting = Meeting()
    wrapped: list[Any] = []

    class Kernel(SimpleNamespace):
        @property
        def _input_request(self) -> Any:
            found = wrapped[-1] if wrapped else (lambda: "typed")
            meeting.wait()
            return found

        @_input_request.setter
        def _input_request(self, value: Any) -> None:
            wrapped.append(value)

    kernel = Kernel()
    at_once(lambda: _stdin.share(kernel), lambda: _stdin.share(kernel))
    assert len(wrapped) == 1
    assert wrapped[0]() == "typed"


def test_an_interrupt_as_soon_as_the_line_is_taken_leaves_it_free() -> None:
    kernel = SimpleNamespace(_input_request=lambda: "typed")
    _stdin.share(kernel)

    def interrupting(frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_name != "in_turn":
            return None
        if event == "line" and _stdin._taken._is_owned():  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return interrupting

    before = sys.gettrace()
    sys.settrace(interrupting)
    try:
        with pytest.raises(KeyboardInterrupt):
            kernel._input_request()
    finally:
        sys.settrace(before)
    free: list[bool] = []
    at_once(lambda: free.append(_stdin.is_free(SimpleNamespace())))
    assert free == [True]
