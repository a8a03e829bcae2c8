"""Prompts over the processes of a Dask cluster: each worker has a client of its own."""

import os
from typing import Any

from distributed import Client, LocalCluster, WorkerPlugin, get_worker

import letta_app_client as letta

OPTIONS = letta.ConnectOptions(
    url=os.environ.get("LETTA_URL", "ws://127.0.0.1:4500"), token=os.environ.get("LETTA_TOKEN")
)
AGENT = os.environ.get("LETTA_AGENT", "agent-123")
PROMPTS = [f"Describe the number {number} in one sentence." for number in range(1, 7)]


class Letta(WorkerPlugin):
    """Gives a worker its client. The options travel to it; a client could not."""

    name = "letta"

    def __init__(self, options: letta.ConnectOptions) -> None:
        self.options = options

    async def setup(self, worker: Any) -> None:
        """Connect, on the event loop of the worker."""
        del worker
        self.client = await letta.connect(self.options)

    async def teardown(self, worker: Any) -> None:
        """Close the client with the worker."""
        del worker
        await self.client.close()


async def ask(prompt: str) -> tuple[str, int]:
    """Runs on the event loop of a worker, to which its client belongs."""
    plugin: Any = get_worker().plugins["letta"]
    client: letta.AppServerClient = plugin.client
    async with client.session(agent_id=AGENT) as session:
        return (await session.run(prompt, timeout=300)).text, os.getpid()


def main() -> None:
    cluster: Any = LocalCluster(n_workers=2, threads_per_worker=1)  # type: ignore[no-untyped-call]
    dask: Any = Client(cluster)  # type: ignore[no-untyped-call]
    with cluster, dask:
        dask.register_plugin(Letta(OPTIONS))
        # In the order of the prompts, wherever they run.
        answers: list[tuple[str, int]] = dask.gather(dask.map(ask, PROMPTS))
    for prompt, (text, _) in zip(PROMPTS, answers, strict=True):
        print(f"{prompt} -> {text}")
    workers = {process for _, process in answers}
    print(f"[{len(workers)} workers, none of them this process: {os.getpid() not in workers}]")


if __name__ == "__main__":
    main()
