"""What an agent writes is shown, and can neither run nor load anything."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import TurnResult
from letta_app_client.jupyter import _reprs
from letta_app_client.jupyter._markdown import neutral, to_html
from letta_app_client.jupyter._parts import diff_of_input, picture

ALLOWED = frozenset(
    {"a", "b", "blockquote", "br", "code", "details", "div", "em", "h3", "h4", "h5", "h6", "hr"}
    | {"li", "ol", "p", "pre", "s", "span", "strong", "summary", "table", "tbody", "td", "th"}
    | {"thead", "tr", "ul"}
)

TRAPS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](javascript:alert(1)) ![y](http://evil.example/leak.png)",
    "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,x)",
    "[x](java\\script\\:alert(1)) [y](&#106;avascript:alert(1))",
    "[x]: javascript:alert(1)\n\n[x]",
    "<a href='javascript:alert(1)'>x</a>",
    '[x](https://a.example/"onmouseover=alert(1))',
    "```html\n<script>alert(1)</script>\n```",
    "```\n<script>\n~~~\n</script>",
    "~~~ `x\n```\n<script>alert(1)</script>\n~~~",
    "`` ` <script> ``",
    "$\\href{javascript:alert(1)}{x}$",
    "\\\\(\\href{javascript:alert(1)}{x}\\\\) \\begin{equation}x\\end{equation}",
    "| a |\n|---|\n| <svg onload=alert(1)> |",
    "> - <iframe>\n>   1. <style>",
    "**<b>** _<i>_ ~~<u>~~ # <h1>",
    "\0<script>\0",
]


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(html: str) -> Seen:
    seen = Seen(html)
    for tag, attributes in seen.tags:
        assert tag in ALLOWED, tag
        assert set(attributes) <= {"class", "href", "open", "rel", "style", "target"}, attributes
        assert (attributes.get("href") or "https://").startswith(("http", "mailto:", "#"))
    return seen


def unfenced(text: str) -> str:
    """What is outside of blocks of code."""
    fence = r"^([`~]{3,})[^`\n]*\n(.*?\n)??\1$"
    return re.sub(fence, "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("trap", TRAPS)
def test_html_of_markdown_is_of_harmless_elements(trap: str) -> None:
    assert "alert" in harmless(to_html(trap)).text or "alert(1)" not in trap


@pytest.mark.parametrize("trap", TRAPS)
def test_markdown_has_no_html_outside_of_code_and_no_schemes_that_run(trap: str) -> None:
    text = neutral(trap)
    outside = unfenced(text)
    for own in ("<span>&#36;</span>", "<span></span>"):
        outside = outside.replace(own, "")
    assert "<" not in outside
    assert not re.search(r"(javascript|data)\s*\\?:", outside.replace(" :", ""), re.IGNORECASE)
    assert "![" not in outside
    assert "$" not in outside
    assert not re.search(r"\\(?:[()]|\[|\]|begin)", outside)


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("a **b** *c* `d`", "<p>a <strong>b</strong> <em>c</em> <code>d</code></p>"),
        ("# T #\ntext\nmore", "<h3>T</h3><p>text\nmore</p>"),
        ("- a\n- b\n  - c\n", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("```py\nx < 1\n```\nafter", "<pre><code>x &lt; 1</code></pre><p>after</p>"),
        ("> quoted\n> twice", "<blockquote><p>quoted\ntwice</p></blockquote>"),
        ("---", "<hr>"),
        ("snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>"),
        (
            "| a | b |\n|---|:-:|\n| 1 | 2 |",
            (
                "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
                "<tbody><tr><td>1</td><td>2</td></tr></tbody></table>"
            ),
        ),
        (
            "[t](https://a.example/x_y_z)",
            (
                '<p><a href="https://a.example/x_y_z" rel="noopener noreferrer"'
                ' target="_blank">t</a></p>'
            ),
        ),
    ],
)
def test_markdown_is_rendered(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


@pytest.mark.parametrize("text", ["*" * 5000, "[" * 5000, "`" * 5000, "> " * 5000, "- " * 5000])
def test_odd_texts_are_rendered_soon(text: str) -> None:
    # The time limit of the test is what is tested.
    harmless(to_html(text + "\n" + text))
    neutral(text)


def known(text: str) -> TurnResult:
    call = {"id": "c", "name": text, "arguments": f'{{"command": "{"x"}"}}', "output": text}
    return TurnResult.from_raw(
        {
            "runtime": {"agent_id": "a", "conversation_id": "c"},
            "status": "failed",
            "text": text,
            "error": text,
            "tool_calls": [call],
            "messages": [
                {"type": "reasoning", "text": text, "run_id": "r", "message_id": "m"},
                {"type": "tool_call", "index": 0},
                {"type": "assistant", "text": text, "run_id": "r", "message_id": "n"},
            ],
        }
    )


@pytest.mark.parametrize("trap", TRAPS)
def test_results_requests_and_histories_are_harmless(trap: str) -> None:
    request: dict[str, Any] = {
        "subtype": "can_use_tool",
        "tool_name": trap,
        "input": {"file_path": trap, "old_string": trap, "new_string": f"{trap} more"},
        "blocked_path": trap,
        "diffs": [{"mode": "fallback", "fileName": trap, "reason": trap}],
    }
    wanted = letta.ApprovalRequest(json.dumps({"type": "control_request", "request": request}))
    stored = letta.History(
        letta.Fields({"message_type": kind, "content": trap})
        for kind in ("user_message", "assistant_message", trap)
    )
    error = letta.TurnFailed(trap)
    batch = letta.Batch(
        [letta.BatchItem(trap, trap, known(trap)), letta.BatchItem("", "", None, error)]
    )
    for one in (known(trap), wanted, stored, batch):
        harmless(one._repr_html_())
        assert "<script" not in unfenced(
            re.sub("^> ?", "", one._repr_markdown_(), flags=re.MULTILINE)
        )


def test_changes_of_files_are_shown_line_by_line() -> None:
    edit = {"file_path": "a.py", "old_string": "x = 1\ny = 2", "new_string": "x = 1\ny = 3"}
    assert diff_of_input(edit) == [
        ("a.py", [("context", "x = 1"), ("remove", "y = 2"), ("add", "y = 3")])
    ]
    assert diff_of_input({"file_path": "b", "content": "1\n2"}) == [
        ("b", [("add", "1"), ("add", "2")])
    ]
    assert diff_of_input({"command": "ls"}) == diff_of_input("x") == []


def test_only_pictures_become_pictures() -> None:
    assert picture({"mimeType": "image/svg+xml", "data": "eA=="}) == ""
    assert picture({"mimeType": "image/png", "data": '"><script>'}) == ""
    assert 'src="data:image/png;base64,eA=="' in picture({"mimeType": "image/png", "data": "eA=="})


def test_a_session_and_a_turn_say_where_they_are() -> None:
    assert "failed in 0.0 s" in _reprs.result(known("x"))["text/plain"]
