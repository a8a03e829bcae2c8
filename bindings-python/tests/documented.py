"""The interface as it was documented before it was there, program by program.

Each is word for word as far as it runs. ``taken`` gives its text to a test with what has to be
another there, such as the address; so there is one text for the double and for the real server.
"""

# ruff: noqa: T201

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import letta_app_client as letta
from letta_app_client import (
    ToolContext,
    allow,
    create_app_server_client,
    deny,
    policy,
    tool,
)


def taken(function: Any, names: dict[str, Any], **places: str) -> Any:
    """A program with other names (such as ``print``) and other texts; each has to be in it."""
    source = inspect.getsource(function)
    for text, other in places.items():
        assert text in source, text
        source = source.replace(text, other)
    space = {**vars(sys.modules[__name__]), **names}
    exec(compile(source, f"{function.__name__} as documented", "exec"), space)  # noqa: S102
    return space[function.__name__]


async def surface() -> None:
    """2.1, the documented surface, in snake_case."""
    client = await create_app_server_client(url="ws://127.0.0.1:4500").connect()
    off = client.on_message(lambda message, channel: print(channel, message.type))

    started = await client.runtime_start(
        agent_id="agent-123",
        create_conversation={"body": {}},
        cwd="/Users/me/project",
        mode="standard",
        client_info={"name": "my_app", "version": "0.1.0"},
    )
    result = await client.run_turn(
        runtime=started.runtime,
        payload={
            "kind": "create_message",
            "messages": [{"role": "user", "content": "Summarize the tests."}],
        },
    )
    print(result.stop_reason, result.text, result.usage)

    payload: Any = {"kind": "create_message", "messages": [{"role": "user", "content": "more"}]}
    client.input(runtime=started.runtime, payload=payload)  # fire and forget
    accepted = await client.submit_input(runtime=started.runtime, payload=payload)
    print(accepted.accepted)
    await client.sync(runtime=started.runtime, recover_approvals=False, force_device_status=True)
    print((await client.abort(runtime=started.runtime)).aborted)
    client.send_raw({"type": "some_future_command", "x": 1})
    reply = await client.request("list_models", force=True)
    print(type(reply.entries))
    off()
    await client.close()


async def layer() -> None:
    """2.2, the layer people will use."""
    async with letta.connect("ws://127.0.0.1:4500", token="t0ken") as client:
        session = await client.session(agent_id="agent-123", cwd=".", mode="acceptEdits")

        # 1. to completion
        result = await session.run("Inspect this repo", timeout=600, idle_timeout=120)
        tools = [c.name for c in result.tool_calls]
        print(result.text, result.usage.total_tokens, result.duration > 0, tools)

        # 2. events
        async for event in session.stream("Run the tests"):
            match event:
                case letta.AssistantDelta(text=text):
                    print(text, end="")
                case letta.ToolCallStart(name=name):
                    print("->", name)
                case letta.UnknownEvent(raw=raw):
                    print("new:", raw)

        # 3. only text
        async for chunk in session.stream_text("Explain it"):
            print(chunk, end="")

        # 4. a handle: await it, iterate it, stop it
        turn = session.send("Refactor module a")
        later = session.send("and then module b")  # queued by the server; its own handle
        words = turn.stream_text()
        print(await anext(words))
        await turn.abort()  # aborts, drains, resolves as aborted
        print(turn.status, turn.explain())  # why it is (still) running
        print((await later).text)

        # 5. many at once, bounded
        results = await letta.map(client, ["a", "b", "c"], agents=["agent-1", "agent-2"], limit=2)
        print([item.text for item in results])


def blocking() -> None:
    """2.3, the blocking facade."""
    from letta_app_client import sync as letta  # noqa: PLC0415 - as documented

    with letta.spawn_server() as server, letta.connect(server) as client:
        session = client.session(create_agent={"body": {"name": "helper"}}, cwd=".")
        for event in session.stream("List the TODOs"):
            print(event)
        print(session.run("Fix the first one").text)


def tools() -> letta.Tool[..., Any]:
    """2.4, tools from functions."""

    @tool
    def query_frame(
        sql: Annotated[str, "SQL over the table `df`"],
        limit: int = 20,
        style: Literal["csv", "markdown"] = "markdown",
        ctx: ToolContext | None = None,  # injected, not part of the schema
    ) -> str:
        """Run SQL against the notebook's dataframe."""
        print(sql, limit, style, ctx is not None and ctx.tool_name)
        return "3 rows"

    return query_frame


def approvals() -> tuple[letta.ApprovalHandler, policy.Rule]:
    """2.5, approvals by a function and by a policy."""

    async def on_approval(request: letta.ApprovalRequest) -> letta.Decision:
        print(request.tool_name, request.diffs, request.blocked_path)
        if request.tool_name == "Bash" and "rm -rf" in request.input.get("command", ""):
            return deny("not that")
        if request.suggestions:
            return allow(suggestions=[request.suggestions[0].id])
        return allow(updated_input={**request.input, "timeout": 60})

    rules = policy.first_match(
        policy.allow("Read", "Grep", "Glob"),
        policy.allow("Bash", command=r"^(pytest|ruff)\b"),
        policy.ask(on_approval),
    )
    return on_approval, rules


@dataclass
class Finding:
    """The output type of 2.6."""

    file: str
    line: int
    why: str


async def output(session: letta.Session) -> None:
    """2.6, structured output."""
    result = await session.run("Find the worst bug", output_type=Finding)
    print(result.output.file)
