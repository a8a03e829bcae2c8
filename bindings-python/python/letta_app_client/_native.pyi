"""The native half: one connection and its mailbox, and the mock server. Not public.

All methods are quick and may be called from any thread, except for the ones of ``MockServer`` that
wait. Errors are raised as the classes of ``letta_app_client.errors``.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, final

from typing_extensions import disjoint_base

from ._link import Check

__all__ = ["Connection", "DirectoryChange", "MockServer", "Outcome", "Recording", "Server"]
__all__ += ["ServerEnd", "ServerLog", "ServerStart", "Submission"]
__all__ += ["ByTag", "Record", "WireText", "frame_type"]
__all__ += ["__version__", "check_decision", "cli", "error_kinds", "kept_frames", "outcome_error"]
__all__ += ["refusal", "replay_events"]
__all__ += ["allowed_by_no_rule", "approver_failed", "check_tool_name"]
__all__ += ["check_values", "denied_by_rule", "leave", "nullable_parameters"]

__version__: str

def cli(arguments: list[str]) -> int:
    """Runs a command on the standard streams; gives its exit code."""

def error_kinds() -> list[tuple[str, bool]]:
    """Every code of the engine, and whether that kind of error is retryable."""

def outcome_error(status: str, reason: str | None) -> str | None:
    """The error, as JSON, of a turn with a status; ``None`` where the agent ended it itself."""

def refusal(answer: str) -> str:
    """What is said of an answer that refuses, given as it came over the wire."""

def leave() -> int:
    """Gives what was handed over to clients 0.2 s to leave, where anything has not left.

    Says how much of it is lost when the process ends now. Blocks, and lets other threads run.
    """

def check_decision(decision: str) -> str | None:
    """What keeps a decision, as JSON, from being taken; ``None`` if nothing does."""

def denied_by_rule(tool: str) -> str:
    """What a model is told about a permission that a rule denies."""

def allowed_by_no_rule(tool: str) -> str:
    """The same about one that no rule gives."""

def approver_failed(said: str) -> str:
    """The same about one whose handler failed, and said so."""

def check_tool_name(name: str) -> str | None:
    """What is wrong with the name of a tool; ``None`` if models take it."""

def nullable_parameters(schema: str) -> list[str]:
    """The required parameters of a tool that may be null."""

def check_values(values: dict[str, Any]) -> None:
    """Refuses options of a client that could not be used, whatever its URL and files are."""

def kept_frames() -> list[str]:
    """The types of the frames that no subscriber misses, however far it lags."""

def replay_events(path: str | PathLike[str]) -> str:
    """What the engine makes of a recording, as a JSON list."""

@final
class Outcome:
    """What a turn came to."""

    @property
    def status(self) -> str | None: ...
    @property
    def text(self) -> str: ...
    @property
    def counted(self) -> str:
        """The token counts as JSON."""

    def read(self) -> tuple[str, list[tuple[int, str]]]:
        """All of it as JSON, in which outputs of tools that are long are null.

        And those, each with its call's place in ``tool_calls``.
        """

@disjoint_base
class Record:
    """A JSON object whose fields are read from its text, or from the ``dict`` that it is made of.

    Its classes say which they are (``_of_text``), which names are no fields (``_own``), which
    fields may be missing (``_optional``), and what the objects in fields are made by (``_nested``).
    """

    @property
    def raw(self) -> dict[str, Any]:
        """All of it, parsed by Python when it is first asked for."""

    @property
    def _text(self) -> str | None:
        """The text, where it is made of text."""

    @property
    def _bytes(self) -> int:
        """How many bytes of UTF-8 that has; none where it is made of a ``dict``."""

    def __new__(cls, given: Any, start: int | None = None, end: int = 0) -> Record: ...
    def __getitem__(self, key: str, /) -> Any: ...

@final
class WireText:
    """A text of the engine, of which a ``Record`` can be made."""

def frame_type(frame: Record) -> str:
    """The text in the field ``type``; an empty one where there is none."""

@final
class ByTag:
    """Says of which class an object is made: the one in ``kinds`` of the text in its ``key``."""

    def __new__(cls, key: str, kinds: dict[str, type[Record]]) -> ByTag: ...

@final
class Recording:
    """The writing end of a recording, for a thread that asks a function about each frame."""

    def next(self) -> tuple[str, str] | None:
        """Waits for the next frame: ``send`` or ``recv``, and its text; ``None`` at the end."""

    def write(self, text: str | None) -> None:
        """Writes that frame in this form; ``None`` leaves it out."""

    def fail(self) -> None:
        """Leaves that frame out and counts it: its redactor has failed."""

@final
class Connection:
    """One client's connection.

    Every answered call takes a ``token()``; one completion with it comes out of ``drain()``.
    """

    def __new__(
        cls,
        *,
        url: str,
        values: dict[str, Any],
        ca: str | None,
        verify: bool,
        record: tuple[str | PathLike[str], int, int, list[str]] | None,
        redacted: bool,
        replay: tuple[str | PathLike[str], float, bool, float] | None,
        server: Server | None,
    ) -> Connection: ...
    def take_recording(self) -> Recording | None:
        """The recording that is ``redacted`` by a function; given once."""

    def fileno(self) -> int:
        """What becomes readable when deliveries wait: a file descriptor, on Windows a socket.

        -1 after ``hang_up``.
        """

    def ring(self) -> None:
        """Makes it readable, although nothing waits."""

    def hang_up(self) -> None:
        """Closes that descriptor: nobody watches it any more."""

    def drain(self, rung: bool) -> tuple[list[tuple[Any, ...]], bool]:
        """Takes deliveries ``(kind, token, …)``, token 0 where no call waits; tells of more.

        They end behind completions that are followed by something else; whoever waited for those
        goes on before the rest is asked for. ``rung`` says that the descriptor was readable. Frames
        come only while somebody listens.

        ``("message", 0, channel, text, type or None)``, ``("sent", 0, text)``, ``("done", token)``,
        ``("response", token, text, type or None, refused)``, ``("candidate", token, text)``,
        ``("turn", token, outcome)``, ``("failed", token, error_json)``,
        ``("turn_ready", token)``, ``("approval", token, ask, text)``,
        ``("approval_over", token, ask, refused)``, ``("tool_call", 0, text)``,
        ``("tool_over", 0, request_id, reason)``,
        ``("tool_refused", 0, request_id, tool_name, reason)``,
        ``("disconnected", 0, channel, code, reason, will_reconnect)``,
        ``("state", 0, state, error_json or None)``,
        ``("restore_failed", 0, agent_id, conversation_id, error_json)``,
        ``("lagged", 0, dropped)``.
        """

    def listen(self, more: bool) -> None:
        """Somebody listens to frames from now on, or does so no more."""

    def token(self) -> int: ...
    @property
    def state(
        self,
    ) -> Literal["new", "connecting", "open", "reconnecting", "disconnected", "closed"]: ...
    @property
    def info(self) -> str | None: ...
    @property
    def insecure_token(self) -> str | None: ...
    @property
    def is_split(self) -> bool: ...
    def check_command(self, command: object) -> None:
        """Checks the fields of a command's method as if it were sent."""

    def counters(self) -> list[int]:
        """``Stats`` from ``frames`` to ``unsent``."""

    def standby(self) -> Literal["off", "opening", "ready"]: ...
    def next_request_id(self, prefix: str) -> str: ...
    def connect(self, token: int) -> None: ...
    def close(self, token: int) -> bool:
        """``False`` when it is closed already: no completion will come."""

    def send(self, command: object, check: Check, told: bool) -> str | None:
        """Returns the frame as it goes out to who is told of it; so do the other calls that send.

        They take any value, and raise ``InvalidCommand`` for what is no command.
        """

    def request(
        self,
        token: int,
        command: object,
        timeout: float | Literal["default"] | None,
        manual: bool,
        check: Check,
        held: bool,
        told: bool,
    ) -> str | None: ...
    def flush(self) -> None:
        """Sends the requests and inputs that were held; whatever else is sent does so first."""
    def run_turn(
        self,
        token: int,
        command: object,
        timeout: float | None,
        idle_timeout: float | None,
        tool_timeout: float | None,
        approval_timeout: float | None,
        abort_grace: float,
        accept_timeout: float,
        recover_timeout: float,
        resend: str,
        approvals: str,
        followed: bool,
        check: bool,
        allow: Sequence[str],
        held: bool,
        told: bool,
    ) -> str | None: ...
    def take_turn(self, token: int) -> list[dict[str, Any] | str | tuple[str, str, str, list[str]]]:
        """Takes the oldest events of a followed turn, about a thousand at most.

        Pieces of one message that follow each other are one tuple: their type, message and run, and
        their texts. What tools say is its plain form, all else its JSON text. To be called until it
        is empty; only then the next one rings again.
        """

    def leave_turn(self, token: int) -> None:
        """Throws them away; without, those of an ended turn are kept for ever."""

    def abort_turn(self, token: int) -> None:
        """Stops a turn on the server; its completion comes."""

    def detach_turn(self, token: int) -> None:
        """Lets a turn go on; ``done`` comes at its end."""

    def turn_report(
        self, token: int
    ) -> tuple[Literal["settling", "sent", "queued", "running", "stopping"], str] | None:
        """``(phase, text)``, or ``None`` for a turn that has ended."""

    def handle_approvals(
        self, token: int, runtime: tuple[str, str] | None, handled: bool
    ) -> None: ...
    def return_approval(self, ask: int) -> None:
        """Has a permission request asked of others: its handler had gone."""

    def watch_file(self, command: object, told: bool) -> str | None: ...
    def unwatch_file(self, path: str) -> None: ...
    def hold_runtime(self, agent: str, conversation: str, opening: str, held: bool) -> None: ...
    def offer_tools(
        self, agent: str, conversation: str, owner: str, groups: str | None
    ) -> None: ...
    def mode_of(self, agent: str, conversation: str) -> str | None: ...
    def registration(self, agent: str, conversation: str, groups: str) -> str: ...
    def answer_approval(self, ask: int, decision: str | None, error: str | None) -> None: ...
    def cancel(self, token: int) -> None: ...
    def resolve(self, token: int) -> None: ...
    def handle_tools(self, handled: bool) -> None: ...
    def answer_tool(self, request_id: str, result: str | None, error: str | None) -> None: ...

@final
class Server:
    """A server of your own. Letting go of it ends it."""

    @property
    def url(self) -> str: ...
    @property
    def token(self) -> str | None: ...
    @property
    def joined(self) -> bool: ...
    def output(self) -> list[str]: ...
    def exited(self) -> tuple[int | None, int | None] | None:
        """Its code and the signal that ended it; ``None`` while it runs."""

    def end(self) -> ServerEnd:
        """Begins a wait for its end."""

    def close(self) -> None:
        """Waits until it has ended."""

@final
class ServerEnd:
    """One wait for the end of a server. It keeps no server running."""

    def wait(self) -> tuple[int | None, int | None]:
        """Blocks until it has ended, and tells how, or until ``stop`` is called."""

    def stop(self) -> None:
        """Nobody waits any more."""

@final
class ServerLog:
    """The lines that one server prints, and the bell that tells of them."""

    def __new__(cls) -> ServerLog: ...
    def fileno(self) -> int: ...
    def drain(self, most: int) -> tuple[list[str], bool]:
        """Takes the oldest lines, so many at most, and says whether no more will come."""

    def hang_up(self) -> None:
        """Closes the bell."""

@final
class ServerStart:
    """One start of a server of your own, which another thread may break off."""

    def __new__(
        cls,
        command: list[str],
        cwd: str | PathLike[str] | None,
        env: list[tuple[str, str]],
        auth: bool,
        ready_timeout: float,
        reuse: bool,
    ) -> ServerStart:
        """Checks the options, and starts nothing."""

    def run(self, log: ServerLog | None) -> Server:
        """Waits until it answers."""

    def stop(self) -> None:
        """Nobody waits for it any more: it ends, and ``run`` with an error."""

@final
class DirectoryChange:
    """The engine's wait for what becomes of a change of directory, in seconds since it was sent."""

    def __new__(cls) -> DirectoryChange: ...
    def frame(self, now: float, text: str) -> str | None:
        """Takes a status of the conversation, and gives the directory that it shows."""

    @property
    def until(self) -> float:
        """When it is not worth waiting any more."""

@final
class Submission:
    """The engine's wait for a structured result. JSON goes in and out."""

    TOOL: str
    """The name of the tool through which the agent submits it."""

    def __new__(cls, schema: str, scope: str) -> Submission: ...
    @property
    def scope(self) -> str:
        """The ``scope_id`` of the tool's group."""

    def tool(self) -> str:
        """The definition of that tool."""

    def content(self, content: str) -> str:
        """The content of the user's message, and how to submit the result."""

    def late(self, scope: str | None) -> str | None:
        """The ``result`` that answers a call of another scope; none for a call that counts."""

    def output(self, arguments: str) -> tuple[str | None, list[str]]:
        """The result within the arguments of a call, and what of it does not fit the schema."""

    def submitted(self, problems: list[str]) -> str:
        """Takes note of a call, and gives the ``result`` that answers it."""

    def turn_ended(
        self, failed: list[str]
    ) -> tuple[Literal["done", "repair", "give up"], str | None]:
        """What to do now, and what to say to the agent."""

    def error(self) -> str:
        """The error of a wait that was given up."""

@final
class MockServer:
    """An App Server double on a loopback port, with a thread of its own."""

    @staticmethod
    def play(
        path: str | PathLike[str], generation: str, step_timeout: float, answer_unrecorded: bool
    ) -> MockServer: ...
    @staticmethod
    def scripted(options: str) -> MockServer: ...
    @property
    def url(self) -> str: ...
    def received(self) -> list[str]: ...
    def unexpected(self) -> list[str]: ...
    def failure(self) -> str | None: ...
    def connections(self) -> int: ...
    def open_connections(self) -> int: ...
    def terminated(self) -> list[tuple[float, str]]: ...
    def wait_done(self, timeout: float) -> bool: ...
    def wait_received(self, kind: str, times: int, timeout: float) -> bool: ...
    def complaint(self, kind: str, times: int | None, fields: str) -> str | None:
        """How what came differs from a demand, whose fields are a JSON object."""

    @property
    def folder(self) -> Path | None: ...
    def push(self, text: str) -> None: ...
    def cut_connection(self, index: int) -> None: ...
    def cut_connections(self) -> None: ...
    def stop(self) -> None: ...
    def start_again(self) -> None: ...
    def close(self) -> None: ...
