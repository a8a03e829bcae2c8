"""Permissions: rules decide what the agent may do, and a record is kept."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}

RULES = letta.policy.first_match(
    letta.policy.allow("Read", "Grep", "Glob"),
    # Anchored at both ends: a command line can hold several commands.
    letta.policy.allow("Bash", command=r"^(pytest|ruff)( [\w./-]+)*\Z"),
    letta.policy.deny("Bash", message="only pytest and ruff may be run"),
)  # what no rule matches is denied


async def main() -> None:
    audit = letta.policy.Audit(RULES)
    async with (
        letta.connect(URL) as client,
        client.session(create_agent=AGENT, mode="standard", approvals=audit) as session,
    ):
        result = await session.run("Run the tests, then push.")
        print(result.text)
    for entry in audit:
        decided = entry.error if entry.decision is None else entry.decision["behavior"]
        print(f"{entry.tool_name} {entry.input.to_dict()}: {decided} by {entry.by}")


asyncio.run(main())
