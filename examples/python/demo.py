"""Turns through a real server: a tool that runs here, and a command that asks for permission."""

import asyncio
import os
from urllib.parse import quote

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")


def ask(text: str) -> letta.protocol.InputCreateMessagePayload:
    return {"kind": "create_message", "messages": [{"role": "user", "content": text}]}


def report(result: letta.TurnResult) -> None:
    usage = result.usage
    print(f"\nstop reason: {result.stop_reason}, tool calls: {len(result.tool_calls)}")
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens"
    print(f"usage: {tokens}, {result.duration:.2f} s")


def weather(call: letta.Message) -> str:
    """The tool: it runs here, not on the server."""
    print(f"[tool {call.tool_name} called with {call.raw['input']}]")
    return "sunny, 21 degrees"


def decide(request: letta.ApprovalRequest) -> letta.Decision:
    """Give permission for what is asked, where a person would be asked."""
    print(f"[{request.tool_name} asks to run {request.input.get('command')!r}: allowed]")
    return letta.allow()


async def main() -> None:
    async with letta.connect(URL) as client:
        info = client.server_info
        print("Python, server version", info.letta_code_version if info else "unknown")
        client.on_external_tool_call(weather)
        tool: letta.protocol.ExternalToolDefinitionPayload = {
            "name": "weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
        body = {"name": "demo", "model": MODEL}

        # No person watches this conversation, so nothing in it asks for permission.
        started = await client.runtime_start(
            create_agent={"body": body, "pin_global": False},
            create_conversation={"body": {}},
            mode="unrestricted",
            external_tools=[{"tools": [tool]}],
        )
        # The scripted model of the demo obeys words in the text: a tool call, then four tokens.
        call = "TOOL=weather|" + quote('{"city": "Lisbon"}')
        result = await client.run_turn(runtime=started.runtime, payload=ask(f"{call} N=4"))
        print(result.text, end="")
        report(result)

        # In this one it does, and the answer is printed while it comes.
        started = await client.runtime_start(
            create_agent={"body": body, "pin_global": False},
            create_conversation={"body": {}},
            mode="standard",
        )
        call = "TOOL=Bash|" + quote('{"command": "touch demo.txt", "description": "makes a file"}')
        turn = client.send_turn(
            runtime=started.runtime, payload=ask(f"{call} N=8 SLEEP=60"), approvals=decide
        )
        async for event in turn:
            match event:
                case letta.AssistantDelta(text):
                    print(text, end="", flush=True)
                case letta.ToolCallEnd(status=status):
                    print(f"[the command ended: {status}]")
                case _:
                    pass
        report(await turn)


asyncio.run(main())
