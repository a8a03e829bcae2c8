"""Client for the Letta Code App Server: runtimes, turns, approvals and tools over WebSocket.

::

    import asyncio
    import letta_app_client as letta

    async def main():
        async with letta.connect("ws://127.0.0.1:4500") as client:
            started = await client.runtime_start(
                agent_id="agent-123", create_conversation={"body": {}}, mode="standard"
            )
            result = await client.run_turn(
                runtime=started.runtime,
                payload={"kind": "create_message",
                         "messages": [{"role": "user", "content": "Summarize the tests."}]},
            )
            print(result.stop_reason, result.text, result.usage)

    asyncio.run(main())

Nothing touches the network at import.
"""

from ._create import Connecting, connect, create_app_server_client
from ._limits import Timeout
from ._native import __version__
from ._tools import ToolHandler, ToolOutput
from .client import AppServerClient, Channel, Disconnect, State, Stats
from .errors import (
    AuthError,
    ClientClosed,
    ConnectionFailed,
    Disconnected,
    ForkedProcess,
    InternalError,
    InvalidCommand,
    InvalidOption,
    LettaAppError,
    MessageTooLarge,
    ProtocolMismatch,
    RequestError,
    RequestTimeout,
    TurnAborted,
    TurnError,
    TurnFailed,
    TurnIdleTimeout,
    TurnInterrupted,
    TurnTimeout,
    WrongLoop,
)
from .messages import Fields, Message
from .options import TlsOptions
from .results import RunText, ToolCall, TurnResult, TurnStatus, Usage

__all__ = [
    "AppServerClient",
    "AuthError",
    "Channel",
    "ClientClosed",
    "Connecting",
    "ConnectionFailed",
    "Disconnect",
    "Disconnected",
    "Fields",
    "ForkedProcess",
    "InternalError",
    "InvalidCommand",
    "InvalidOption",
    "LettaAppError",
    "Message",
    "MessageTooLarge",
    "ProtocolMismatch",
    "RequestError",
    "RequestTimeout",
    "RunText",
    "State",
    "Stats",
    "Timeout",
    "TlsOptions",
    "ToolCall",
    "ToolHandler",
    "ToolOutput",
    "TurnAborted",
    "TurnError",
    "TurnFailed",
    "TurnIdleTimeout",
    "TurnInterrupted",
    "TurnResult",
    "TurnStatus",
    "TurnTimeout",
    "Usage",
    "WrongLoop",
    "__version__",
    "connect",
    "create_app_server_client",
]
