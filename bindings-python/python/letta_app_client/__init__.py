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

from __future__ import annotations

from importlib import import_module

from ._native import __version__

TYPE_CHECKING = False
# As ``typing`` has it, which takes longer to import than all that is imported here.
if TYPE_CHECKING:
    from typing import Any

    # Some only for annotations within the package, such as ``letta._fields.InputRest``.
    from . import _families, _fields, jupyter, listings, policy, protocol, sync, terminals, watching  # noqa: F401
    from ._batch import Batch, BatchItem
    from ._create import Connecting, connect, create_app_server_client
    from ._family import Family
    from ._gather import gather
    from ._history import History
    from ._limits import Resend, Timeout
    from ._map import map  # noqa: A004 - as ``letta.map``
    from ._replay import Replay, replay
    from ._stream import TurnStream
    from ._structured import StructuredResult
    from ._subscription import Subscription
    from ._to_frame import to_frame
    from ._tools import ToolHandler, ToolResult
    from .approvals import ApprovalHandler, ApprovalMode, ApprovalRequest, Question, QuestionOption
    from .client import AppServerClient, Disconnect, State, Stats
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
        Lagged,
        LettaAppError,
        MessageTooLarge,
        ProtocolMismatch,
        RequestError,
        RequestTimeout,
        ServerStartError,
        StructuredOutputError,
        TooManyRequests,
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
        TurnResumed,
        UnknownEvent,
        UsageReported,
    )
    from .messages import Channel, Fields, Message
    from .options import (
        ConnectOptions,
        ConnectSettings,
        InsecureTokenWarning,
        Reconnect,
        RecordOptions,
        Redactor,
        TlsOptions,
    )
    from .results import (
        AssistantMessage,
        InputDelivery,
        ReasoningMessage,
        RunText,
        ToolCall,
        TurnMessage,
        TurnResult,
        TurnStatus,
        Usage,
    )
    from .server import OwnServer, ServerExit, Spawning, spawn_server
    from .session import MapSettings, Opening, PermissionMode, Prompt, Session, TurnSettings
    from .terminals import Terminal
    from .tools import Tool, ToolContext, ToolSet, tool
    from .turn import Turn, TurnPhase
    from .watching import FileChanges

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
    "Batch",
    "BatchItem",
    "Channel",
    "ClientClosed",
    "ConnectOptions",
    "ConnectSettings",
    "Connecting",
    "ConnectionFailed",
    "Decision",
    "Disconnect",
    "Disconnected",
    "EventsDropped",
    "Family",
    "Fields",
    "FileChanges",
    "ForkedProcess",
    "History",
    "InputDelivery",
    "InsecureTokenWarning",
    "InternalError",
    "InvalidCommand",
    "InvalidOption",
    "Lagged",
    "LettaAppError",
    "LoopStatus",
    "MapSettings",
    "Message",
    "MessageTooLarge",
    "Opening",
    "OwnServer",
    "PermissionMode",
    "Prompt",
    "ProtocolMismatch",
    "Question",
    "QuestionOption",
    "QueuePosition",
    "ReasoningDelta",
    "ReasoningMessage",
    "Reconnect",
    "RecordOptions",
    "Redactor",
    "Replay",
    "RequestError",
    "RequestTimeout",
    "Resend",
    "Retry",
    "RunStarted",
    "RunText",
    "RunWithdrawn",
    "ServerExit",
    "ServerStartError",
    "Session",
    "Spawning",
    "State",
    "Stats",
    "StructuredOutputError",
    "StructuredResult",
    "Subscription",
    "Suggestion",
    "Terminal",
    "Timeout",
    "TlsOptions",
    "TooManyRequests",
    "Tool",
    "ToolCall",
    "ToolCallArguments",
    "ToolCallEnd",
    "ToolCallStart",
    "ToolContext",
    "ToolHandler",
    "ToolOutput",
    "ToolResult",
    "ToolSet",
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
    "TurnResumed",
    "TurnSettings",
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
    "gather",
    "jupyter",
    "map",
    "policy",
    "protocol",
    "replay",
    "spawn_server",
    "sync",
    "to_frame",
    "tool",
]

_LATER = {
    "._batch": (
        "Batch",
        "BatchItem",
    ),
    "._create": (
        "Connecting",
        "connect",
        "create_app_server_client",
    ),
    "._family": ("Family",),
    "._gather": ("gather",),
    "._history": ("History",),
    "._limits": (
        "Resend",
        "Timeout",
    ),
    "._map": ("map",),
    "._replay": (
        "Replay",
        "replay",
    ),
    "._stream": ("TurnStream",),
    "._structured": ("StructuredResult",),
    "._subscription": ("Subscription",),
    "._to_frame": ("to_frame",),
    "._tools": (
        "ToolHandler",
        "ToolResult",
    ),
    ".approvals": (
        "ApprovalHandler",
        "ApprovalMode",
        "ApprovalRequest",
        "Question",
        "QuestionOption",
    ),
    ".client": (
        "AppServerClient",
        "Disconnect",
        "State",
        "Stats",
    ),
    ".decisions": (
        "Decision",
        "Suggestion",
        "allow",
        "deny",
    ),
    ".errors": (
        "ApprovalRequired",
        "AuthError",
        "ClientClosed",
        "ConnectionFailed",
        "Disconnected",
        "ForkedProcess",
        "InternalError",
        "InvalidCommand",
        "InvalidOption",
        "Lagged",
        "LettaAppError",
        "MessageTooLarge",
        "ProtocolMismatch",
        "RequestError",
        "RequestTimeout",
        "ServerStartError",
        "StructuredOutputError",
        "TooManyRequests",
        "TurnAborted",
        "TurnError",
        "TurnFailed",
        "TurnIdleTimeout",
        "TurnInterrupted",
        "TurnTimeout",
        "UnsupportedByServer",
        "WrongLoop",
    ),
    ".events": (
        "ApprovalDecided",
        "ApprovalRefused",
        "ApprovalRequested",
        "AssistantDelta",
        "EventsDropped",
        "LoopStatus",
        "QueuePosition",
        "ReasoningDelta",
        "Retry",
        "RunStarted",
        "RunWithdrawn",
        "ToolCallArguments",
        "ToolCallEnd",
        "ToolCallStart",
        "ToolOutput",
        "TurnEvent",
        "TurnFinished",
        "TurnResumed",
        "UnknownEvent",
        "UsageReported",
    ),
    ".messages": (
        "Channel",
        "Fields",
        "Message",
    ),
    ".options": (
        "ConnectOptions",
        "ConnectSettings",
        "InsecureTokenWarning",
        "Reconnect",
        "RecordOptions",
        "Redactor",
        "TlsOptions",
    ),
    ".results": (
        "AssistantMessage",
        "InputDelivery",
        "ReasoningMessage",
        "RunText",
        "ToolCall",
        "TurnMessage",
        "TurnResult",
        "TurnStatus",
        "Usage",
    ),
    ".server": (
        "OwnServer",
        "ServerExit",
        "Spawning",
        "spawn_server",
    ),
    ".session": (
        "MapSettings",
        "Opening",
        "PermissionMode",
        "Prompt",
        "Session",
        "TurnSettings",
    ),
    ".terminals": ("Terminal",),
    ".tools": (
        "Tool",
        "ToolContext",
        "ToolSet",
        "tool",
    ),
    ".turn": (
        "Turn",
        "TurnPhase",
    ),
    ".watching": ("FileChanges",),
}
"""What is imported when somebody asks for it, by module: so the import of the package is quick."""

_MODULES = frozenset(
    {
        "_families",
        "_fields",
        "approvals",
        "client",
        "decisions",
        "errors",
        "events",
        "jupyter",
        "listings",
        "messages",
        "options",
        "policy",
        "protocol",
        "results",
        "server",
        "session",
        "sync",
        "terminals",
        "tools",
        "turn",
        "watching",
    }
)


if not TYPE_CHECKING:  # to a checker every misspelt name would be there

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f".{name}", __name__)
        for module, names in _LATER.items():
            if name in names:
                value = globals()[name] = getattr(import_module(module, __name__), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Is called by ``%load_ext letta_app_client``: registers ``%letta`` and ``%%letta``."""
    import_module(".jupyter", __name__).load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Is called by ``%unload_ext letta_app_client``: takes them away and closes their client."""
    import_module(".jupyter", __name__).unload(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
