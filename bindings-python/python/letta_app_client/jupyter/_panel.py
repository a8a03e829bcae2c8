"""A permission request with buttons, made of ipywidgets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..approvals import ApprovalRequest
from ..decisions import Decision, Suggestion, allow, deny
from . import _reprs

__all__ = ["Panel"]


class Panel:
    """Buttons of which each makes a decision, and fields. None of them works before ``enable``.

    ``was_used`` says that something was pressed or written: there is somebody who sees them.
    """

    def __init__(self, request: ApprovalRequest, settle: Callable[[Decision], None]) -> None:
        """Makes the widgets; ``settle`` gets the decision, in whichever thread hears the click."""
        import ipywidgets  # noqa: PLC0415 - asked for before

        self._widgets: Any = ipywidgets
        self._settle = settle
        given = json.dumps(request.input.to_dict(), indent=2, ensure_ascii=False)
        self._controls: list[Any] = []
        self.was_used = False
        self._reason = self._field(ipywidgets.Text, placeholder="why not")
        rows = min(12, given.count("\n") + 2)
        self._input = self._field(ipywidgets.Textarea, value=given, rows=rows)
        self._input.layout.width = "95%"
        self._problem = ipywidgets.HTML()
        first = [
            self._button("Allow", "success", allow),
            *(self._always(one) for one in request.suggestions),
            self._button("Deny", "danger", self._deny),
            self._reason,
        ]
        edited = self._button("Allow with this input", "", self._edited)
        editor = ipywidgets.Accordion([ipywidgets.VBox([self._input, edited, self._problem])])
        editor.set_title(0, "Edit the input")
        editor.selected_index = None
        shown = ipywidgets.HTML(_reprs.request(request)["text/html"])
        row = ipywidgets.Box(first)
        row.layout.flex_flow = "row wrap"
        self._box = ipywidgets.VBox([shown, row, editor])

    def data(self, plain: str) -> dict[str, Any]:
        """The MIME bundle that shows it."""
        bundle = self._box._repr_mimebundle_()
        return {**bundle, "text/plain": plain}

    def enable(self) -> None:
        """Lets the buttons be pressed, and the fields be written in."""
        for control in self._controls:
            control.disabled = False

    def close(self) -> None:
        """Takes all of the widgets away; the kernel keeps each that is not closed."""
        for widget in _within(self._box):
            self._widgets.Widget.close(widget)

    def _button(self, text: str, style: str, decide: Callable[[], Decision]) -> Any:
        button = self._widgets.Button(description=text, button_style=style, disabled=True)
        self._controls.append(button)
        button.layout.width = "auto"
        button.on_click(lambda _: self._settled(decide))
        return button

    def _field(self, kind: Callable[..., Any], **traits: Any) -> Any:
        # What is written before clicks are heard would come after the click, when nobody reads it.
        # It is sent when the field is left, right before a button is pressed: pieces come late.
        field = kind(disabled=True, continuous_update=False, **traits)
        self._controls.append(field)
        field.observe(self._used, "value")
        return field

    def _used(self, _change: object) -> None:
        self.was_used = True

    def _settled(self, decide: Callable[[], Decision]) -> None:
        self.was_used = True
        try:
            decision = decide()
        except ValueError as error:
            self._problem.value = ""
            self._problem.value = _reprs.line(f"not a JSON object: {error}")
        else:
            self._settle(decision)

    def _always(self, rule: Suggestion) -> Any:
        text = f"Always: {rule.text or rule.id}"
        return self._button(text, "info", lambda: allow(suggestions=rule))

    def _deny(self) -> Decision:
        return deny(self._reason.value.strip() or "the user denied it")

    def _edited(self) -> Decision:
        changed = json.loads(self._input.value)
        if not isinstance(changed, dict):
            raise ValueError("expected an object, such as {...}")  # noqa: TRY004 - shown as such
        return allow(updated_input=changed)


def _within(widget: Any) -> list[Any]:
    """A widget, and all that it is made of."""
    parts = [*getattr(widget, "children", ())]
    parts += [getattr(widget, name) for name in ("layout", "style") if hasattr(widget, name)]
    return [widget, *(one for part in parts for one in _within(part))]
