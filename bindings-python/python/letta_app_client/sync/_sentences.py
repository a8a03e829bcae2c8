"""Sentences about asynchronous objects, and what is said of their blocking faces instead."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SENTENCES"]

SENTENCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "AppServerClient": (
        (
            (
                "It runs on asyncio (uvloop too) and on trio, and belongs to the loop and the"
                " process in which it is first used."
            ),
            "It belongs to the process in which it was made; any number of threads may use it.",
        ),
        ("every coroutine method raises", "every method that waits raises"),
        (
            (
                "What only sends, and waits for nothing (``input``, ``send``, ``Terminal.write``"
                " …), may also be called in threads that run no event loop. What is to be waited"
                " for is refused there with ``WrongLoop``, also ``send_turn`` and ``Session.send``."
            ),
            "",
        ),
    ),
    "Subscription": (("One task at a time", "One thread at a time"),),
    "Turn": (
        (
            (
                "``await turn`` waits for its ``TurnResult``, any number of times and in any number"
                " of tasks."
            ),
            (
                "``turn.result()`` waits for its ``TurnResult``, any number of times and in any"
                " number of threads."
            ),
        ),
        (
            "Cancelling a task that awaits or iterates stops the turn",
            "Interrupting a call that waits or iterates (Ctrl-C) stops the turn",
        ),
        ("``asyncio.shield`` or ``detach`` keeps the turn going.", "``detach`` keeps it going."),
    ),
    "__aiter__": (
        ("raises what awaiting it raises", "raises what ``result`` raises"),
        ("Only one task at a time", "Only one thread at a time"),
        ("awaiting the turn then gives its outcome", "``result`` then gives its outcome"),
    ),
    "abort": (("The same errors as when the turn is awaited.", "The same errors as ``result``."),),
    "approval_request": (("as with awaiting it", "as with ``result``"),),
    "detach": (("and awaiting raises", "and ``result`` raises"),),
    "dropped": (
        (
            (
                "or the loop was busy. A loop that was busy for so long that frames were lost"
                " before anybody looked at them counts frames of all types."
            ),
            (
                "or a handler took too long. A handler that took so long that frames were lost"
                " before anybody looked at them counts frames of all types."
            ),
        ),
    ),
    "gather": (
        (
            (
                "Like ``asyncio.gather``, for turns in any conversations, and with what"
                " ``letta.map`` returns::"
            ),
            "They may be of any conversations of one client. Gives what ``letta.map`` returns::",
        ),
        (
            "although awaiting a turn from ``send`` gives its result",
            "although ``result`` of a turn from ``send`` gives that",
        ),
        ("of any clients of this event loop.", "all of one client."),
        (
            "An argument is not a turn, or",
            "An argument is not a turn, they are of several clients, or",
        ),
        ("a function that is called on the loop's thread with", "a function that is called with"),
        (
            "and the others go on, as with ``asyncio.gather`` and ``return_exceptions=True``.",
            "and the others go on.",
        ),
    ),
    "map": (
        ("a function that is called on the loop's thread with", "a function that is called with"),
    ),
    "on_external_tool_call": (
        (
            (
                "An ``async def``, or an object whose ``__call__`` is one, runs on the loop. Any"
                " other function runs in a thread of its own; if what it returns can be awaited, it"
                " is awaited on the loop."
            ),
            (
                "It runs in a thread of its own; an ``async def`` runs there, on a loop that is"
                " made for it."
            ),
        ),
    ),
    "on_lagged": (
        (
            (
                "If the loop is busy for so long that more than 65,536 frames or 64 MiB wait for"
                " message handlers,"
            ),
            "If handlers take so long that more than 65,536 frames or 64 MiB wait for them,",
        ),
    ),
    "on_message": (
        (
            (
                "An exception is logged and counted (``stats.handler_errors``). ``SystemExit`` and"
                " ``KeyboardInterrupt`` end the asyncio run, as from any callback; on trio, where a"
                " handler belongs to no task, they are logged and counted like any other exception."
            ),
            "An exception is logged and counted (``stats.handler_errors``), ``SystemExit`` too.",
        ),
        ("an ``async def``, which nobody would await.", "an ``async def``, which would not run."),
    ),
    "open": (
        (
            "Returns a terminal that starts when it is awaited, or with ``async with``.",
            "Starts a terminal and returns it. With ``with`` it is closed at the end of the block.",
        ),
    ),
    "result": (
        ("Waits for the end: the same as awaiting the turn.", "Waits for the end of the turn."),
    ),
    "run_turn": (("resolves with the stop reason", "returns a result with the stop reason"),),
    "send": (
        (
            "Whether awaiting the turn raises when it did not",
            "Whether ``Turn.result`` raises when the turn did not",
        ),
        (
            "Awaiting the turn gives its result however it ends, unless it is",
            "``Turn.result`` gives the result however the turn ends, unless that is",
        ),
    ),
    "send_turn": (
        (" Call it on the client's event loop.", ""),
        (
            "Whether a turn that did not end normally raises when it is awaited.",
            "Whether ``Turn.result`` raises when the turn did not end normally.",
        ),
        ("are raised when the turn is awaited.", "are raised by ``Turn.result``."),
    ),
    "spawn_server": (("If the loop lags more than", "If it lags more than"),),
    "Terminal": (
        (
            (
                "``await client.terminals.open()`` starts it as well. Both send ``terminal_spawn``,"
                " resolve when it runs, and raise what methods of families raise;"
            ),
            (
                "``client.terminals.open()`` sends ``terminal_spawn``, returns when it runs, and"
                " raises what methods of families raise;"
            ),
        ),
    ),
}
"""By the last name of what they are about. A test finds those that no text has any more."""
