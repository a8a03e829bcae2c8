"""Two turns through a real server: streamed text, then a tool that runs in this program."""

import asyncio
import os
from typing import Any
from urllib.parse import quote

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")


def ask(text: str) -> dict[str, Any]:
    return {"kind": "create_message", "messages": [{"role": "user", "content": text}]}


def show(message: letta.Message, _channel: str) -> None:
    """Print the answer while it streams."""
    if message.type == "stream_delta" and message.delta.message_type == "assistant_message":
        print("".join(part["text"] for part in message.raw["delta"]["content"]), end="", flush=True)


def report(result: letta.TurnResult) -> None:
    usage = result.usage
    print(f"\nstop reason: {result.stop_reason}, tool calls: {len(result.tool_calls)}")
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens"
    print(f"usage: {tokens}, {result.duration:.2f} s")


def weather(call: letta.Message) -> str:
    """The tool: it runs here, not on the server."""
    print(f"[tool {call.tool_name} called with {call.raw['input']}]")
    return "sunny, 21 degrees"


async def main() -> None:
    async with letta.connect(URL) as client:
        info = client.server_info
        print("Python, server version", info.letta_code_version if info else "unknown")
        client.on_message(show)
        client.on_external_tool_call(weather)
        tool = {
            "name": "weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
        started = await client.runtime_start(
            create_agent={"body": {"name": "demo", "model": MODEL}, "pin_global": False},
            create_conversation={"body": {}},
            # No person watches this program, so nothing asks for permission.
            mode="unrestricted",
            external_tools=[{"tools": [tool]}],
        )
        # The scripted model of the demo obeys words in the text: eight tokens, slowly.
        report(await client.run_turn(runtime=started.runtime, payload=ask("Hello! N=8 SLEEP=60")))
        call = "TOOL=weather|" + quote('{"city": "Lisbon"}')
        report(await client.run_turn(runtime=started.runtime, payload=ask(f"{call} N=4")))


asyncio.run(main())
