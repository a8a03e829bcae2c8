"""What is measured, with which clients, and what is aimed at."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

Metric = Literal["cpu", "thread", "p50_us", "idle_kib"]


@dataclass(frozen=True)
class Client:
    """A program that does a workload."""

    name: str
    language: Literal["python", "node", "rust"]
    arguments: tuple[str, ...]
    is_ours: bool = False
    is_limit: bool = False
    """It is no client that one could use; it shows what is possible."""
    way: str = ""

    def on(self, loop: str) -> Client:
        return dataclasses.replace(
            self, name=f"{self.name}, {loop}", arguments=(self.arguments[0], loop)
        )


@dataclass(frozen=True)
class Aim:
    """So much of the best peer's figure at most, in a language."""

    language: str
    most: float
    metric: Metric = "cpu"
    of: str = ""
    """Only among peers whose name begins so."""


@dataclass(frozen=True)
class Workload:
    """One row of the table of aims."""

    title: str
    name: str
    """The function that each client has for it."""
    unit: str
    sizes: dict[str, int]
    double: tuple[str, ...]
    clients: tuple[Client, ...]
    aims: tuple[Aim, ...]
    pinned: bool = False
    notes: str = ""
    rounds: int | None = field(default=None)


OURS_PYTHON = Client("letta-app-client (Python)", "python", ("events", "asyncio"), is_ours=True)
OURS_MESSAGES = dataclasses.replace(
    OURS_PYTHON, name="letta-app-client (Python), on_message", arguments=("messages", "asyncio")
)
PICOWS = Client("picows + msgspec", "python", ("picows", "asyncio"))
WEBSOCKETS = Client("websockets + orjson", "python", ("websockets", "asyncio"))
AIOHTTP = Client("aiohttp + orjson", "python", ("aiohttp", "asyncio"))
OURS_NODE = Client("@letta/app-client-native (Node)", "node", ("ours",), is_ours=True)
OURS_NODE_MESSAGES = dataclasses.replace(
    OURS_NODE, name="@letta/app-client-native (Node), onMessage", way="messages"
)
REFERENCE = Client("reference client + ws", "node", ("reference",))
BY_HAND = Client("by hand + ws", "node", ("by-hand",))
OURS_RUST = Client("letta-app-client (Rust)", "rust", ("ours",), is_ours=True)
ENGINE = Client("letta-app-client, engine alone", "rust", ("engine",), is_ours=True)
SCANNER = Client("tokio-tungstenite + scanner", "rust", ("scanner",))
SERDE = Client("tokio-tungstenite + serde", "rust", ("serde",), is_limit=True)
RAW = Client("tokio-tungstenite raw", "rust", ("raw",), is_limit=True)
FAST = Client("fastwebsockets raw", "rust", ("fastwebsockets",), is_limit=True)

PYTHON = (OURS_PYTHON, PICOWS, WEBSOCKETS, AIOHTTP)
NODE = (OURS_NODE, REFERENCE, BY_HAND)
UVLOOP = tuple(client.on("uvloop") for client in PYTHON)
DELTAS = 20_000

WORKLOADS = (
    Workload(
        "stream of deltas to a handler",
        "stream",
        "delta",
        {"turns": 3, "deltas": DELTAS},
        ("--deltas", str(DELTAS)),
        (*PYTHON, *UVLOOP, OURS_MESSAGES, *NODE, OURS_NODE_MESSAGES),
        (
            Aim("python", 0.55),
            Aim("python", 0.15, of="websockets"),
            Aim("python", 0.30, "thread"),
            Aim("node", 0.33),
            Aim("node", 0.25, "thread"),
        ),
        notes="A turn of 20,000 pieces of text; the handler reads type, message type and text.",
    ),
    Workload(
        "the same, one write per frame",
        "stream",
        "delta",
        {"turns": 2, "deltas": DELTAS},
        ("--deltas", str(DELTAS), "--one-by-one"),
        (OURS_PYTHON, PICOWS, OURS_NODE, REFERENCE),
        (),
        notes="How much comes at once is then up to the machine.",
        rounds=3,
    ),
    Workload(
        "run_turn without handlers, 64 runtimes",
        "turns",
        "turn",
        {"runtimes": 64, "turns": 20},
        ("--deltas", "50"),
        (*PYTHON, *NODE, OURS_RUST),
        (Aim("python", 0.42), Aim("node", 0.18)),
        notes="50 deltas and three device statuses of 2, 5 and 10 KB in each turn.",
    ),
    Workload(
        "run_turn without handlers, 1,000 runtimes",
        "turns",
        "turn",
        {"runtimes": 1000, "turns": 1},
        ("--deltas", "50"),
        (*PYTHON, *NODE, OURS_RUST),
        (Aim("python", 0.45), Aim("node", 0.10, of="reference")),
        notes="The reference client has a handler per running turn, as there is nothing else.",
    ),
    Workload(
        "64 requests outstanding",
        "requests",
        "request",
        {"count": 6400, "outstanding": 64},
        (),
        (*PYTHON, *UVLOOP, *NODE, OURS_RUST),
        (Aim("python", 0.50), Aim("node", 0.30)),
    ),
    Workload(
        "one request at a time, pinned to one CPU",
        "requests",
        "request",
        {"count": 2000, "outstanding": 1},
        (),
        (*PYTHON, *NODE, OURS_RUST),
        (Aim("python", 1.2, "p50_us"), Aim("node", 0.95, "p50_us")),
        pinned=True,
        notes="Client and server share a CPU; the time of the median request.",
    ),
    Workload(
        "1 MiB tool outputs",
        "outputs",
        "output",
        {"turns": 3, "outputs": 20},
        ("--deltas", "0", "--outputs", "20", "--output-bytes", str(1 << 20)),
        (*PYTHON, *NODE),
        (Aim("python", 0.9), Aim("node", 0.6)),
    ),
    Workload(
        "60 MiB tool outputs",
        "outputs",
        "output",
        {"turns": 2, "outputs": 1},
        ("--deltas", "0", "--outputs", "1", "--output-bytes", str(60 << 20)),
        (OURS_PYTHON, PICOWS, OURS_NODE, REFERENCE),
        (),
        rounds=2,
    ),
    Workload(
        "memory per idle connection",
        "idle",
        "connection",
        {"connections": 200},
        (),
        (OURS_PYTHON, PICOWS, WEBSOCKETS, OURS_NODE, BY_HAND),
        (Aim("python", 20, "idle_kib"), Aim("node", 20, "idle_kib")),
        rounds=3,
        notes="Absolute: KiB of resident memory more with each connection.",
    ),
    Workload(
        "the engine alone",
        "stream",
        "frame",
        {"turns": 8, "deltas": DELTAS},
        ("--deltas", str(DELTAS)),
        (ENGINE, SCANNER, SERDE, RAW, FAST),
        (Aim("rust", 1.25),),
        notes="All it does for a frame, without anybody behind it.",
    ),
)
