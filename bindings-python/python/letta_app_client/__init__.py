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
from ._stream import TurnStream
from ._tools import ToolHandler, ToolResult
from .approvals import ApprovalHandler, ApprovalMode, ApprovalRequest, Question, QuestionOption
from .client import AppServerClient, Channel, Disconnect, State, Stats
from .decisions import Decision, Suggestion, allow, deny
from .errors import (
    ApprovalRequired,
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
    UnsupportedByServer,
    WrongLoop,
)
from .events import (
    ApprovalDecided,
    ApprovalRefused,
    ApprovalRequested,
    AssistantDelta,
    EventsDropped,
    LoopStatus,
    QueuePosition,
    ReasoningDelta,
    Retry,
    RunStarted,
    RunWithdrawn,
    ToolCallArguments,
    ToolCallEnd,
    ToolCallStart,
    ToolOutput,
    TurnEvent,
    TurnFinished,
    UnknownEvent,
    UsageReported,
)
from .messages import Fields, Message
from .options import TlsOptions
from .results import (
    AssistantMessage,
    ReasoningMessage,
    RunText,
    ToolCall,
    TurnMessage,
    TurnResult,
    TurnStatus,
    Usage,
)
from .turn import Turn, TurnPhase

__all__ = [
    "AppServerClient",
    "ApprovalDecided",
    "ApprovalHandler",
    "ApprovalMode",
    "ApprovalRefused",
    "ApprovalRequest",
    "ApprovalRequested",
    "ApprovalRequired",
    "AssistantDelta",
    "AssistantMessage",
    "AuthError",
    "Channel",
    "ClientClosed",
    "Connecting",
    "ConnectionFailed",
    "Decision",
    "Disconnect",
    "Disconnected",
    "EventsDropped",
    "Fields",
    "ForkedProcess",
    "InternalError",
    "InvalidCommand",
    "InvalidOption",
    "LettaAppError",
    "LoopStatus",
    "Message",
    "MessageTooLarge",
    "ProtocolMismatch",
    "Question",
    "QuestionOption",
    "QueuePosition",
    "ReasoningDelta",
    "ReasoningMessage",
    "RequestError",
    "RequestTimeout",
    "Retry",
    "RunStarted",
    "RunText",
    "RunWithdrawn",
    "State",
    "Stats",
    "Suggestion",
    "Timeout",
    "TlsOptions",
    "ToolCall",
    "ToolCallArguments",
    "ToolCallEnd",
    "ToolCallStart",
    "ToolHandler",
    "ToolOutput",
    "ToolResult",
    "Turn",
    "TurnAborted",
    "TurnError",
    "TurnEvent",
    "TurnFailed",
    "TurnFinished",
    "TurnIdleTimeout",
    "TurnInterrupted",
    "TurnMessage",
    "TurnPhase",
    "TurnResult",
    "TurnStatus",
    "TurnStream",
    "TurnTimeout",
    "UnknownEvent",
    "UnsupportedByServer",
    "Usage",
    "UsageReported",
    "WrongLoop",
    "__version__",
    "allow",
    "connect",
    "create_app_server_client",
    "deny",
]
