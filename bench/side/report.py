"""From measurements to a table and to ``results.json``."""

from __future__ import annotations

import statistics
from typing import Any

from workloads import Aim, Client, Metric, Workload

Samples = dict[str, list[dict[str, Any]]]


def value(sample: dict[str, Any], metric: Metric) -> float:
    """A figure per unit: microseconds, or KiB."""
    if metric == "p50_us":
        return float(sample["p50_us"])
    if metric == "idle_kib":
        # Where times of calls are reported otherwise.
        return float(sample["p50_us"])
    return float(sample[metric]) / sample["units"] * 1e6


def spread(samples: list[dict[str, Any]], metric: Metric) -> tuple[float, float, float]:
    """Median, minimum and maximum."""
    values = [value(sample, metric) for sample in samples]
    return statistics.median(values), min(values), max(values)


def best(workload: Workload, samples: Samples, metric: Metric, clients: list[Client]) -> Client:
    """The client with the lowest median."""
    return min(clients, key=lambda it: spread(samples[it.name], metric)[0])


def judge(workload: Workload, samples: Samples, aim: Aim) -> dict[str, Any]:
    """Our best way against the best peer of the language."""
    there = [it for it in workload.clients if it.language == aim.language and samples.get(it.name)]
    ours = [it for it in there if it.is_ours]
    peers = [
        it for it in there if not it.is_ours and not it.is_limit and it.name.startswith(aim.of)
    ]
    mine = best(workload, samples, aim.metric, ours)
    figure = spread(samples[mine.name], aim.metric)[0]
    absolute = aim.metric == "idle_kib"
    peer = best(workload, samples, aim.metric if aim.metric != "thread" else "cpu", peers)
    # What a peer does, it does on the user's thread.
    against = spread(samples[peer.name], "cpu" if aim.metric == "thread" else aim.metric)[0]
    reached = figure if absolute else figure / against
    return {
        "language": aim.language,
        "metric": aim.metric,
        "ours": mine.name,
        "peer": peer.name,
        "ratio": round(reached, 3),
        "aim": aim.most,
        "reached": reached <= aim.most,
    }


def table(workload: Workload, samples: Samples) -> list[str]:
    """The rows of one workload."""
    metric: Metric = "idle_kib" if workload.name == "idle" else "cpu"
    unit = "KiB" if metric == "idle_kib" else "CPU µs"
    head = [
        f"{unit} per {workload.unit}",
        "median",
        "min",
        "max",
        "user's thread",
        "wall",
        "p50",
        "peak MiB",
        "ratio",
    ]
    best_peers = {}
    for language in ("python", "node", "rust"):
        peers = [
            it
            for it in workload.clients
            if it.language == language
            and not it.is_ours
            and not it.is_limit
            and samples.get(it.name)
        ]
        if peers:
            winner = best(workload, samples, metric, peers)
            best_peers[language] = spread(samples[winner.name], metric)[0]
    rows = [head]
    for client in workload.clients:
        runs = samples.get(client.name)
        if not runs:
            continue
        median, low, high = spread(runs, metric)
        thread = statistics.median([run["thread"] / run["units"] * 1e6 for run in runs])
        wall = statistics.median([run["wall"] / run["units"] * 1e6 for run in runs])
        p50 = runs[0]["p50_us"] and metric == "cpu" and statistics.median(r["p50_us"] for r in runs)
        peak = statistics.median([run["peak_kib"] / 1024 for run in runs])
        against = best_peers.get(client.language)
        rows.append(
            [
                ("* " if client.is_ours else "  ") + client.name,
                f"{median:.2f}",
                f"{low:.2f}",
                f"{high:.2f}",
                f"{thread:.2f}",
                f"{wall:.2f}",
                f"{p50:.0f}" if p50 else "-",
                f"{peak:.0f}",
                f"{median / against:.2f}" if against else "-",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        lines.append("  ".join(cells))
    return lines


def verdicts(workload: Workload, samples: Samples) -> list[dict[str, Any]]:
    """What became of the aims."""
    languages = {it.language for it in workload.clients if it.is_ours and samples.get(it.name)}
    return [judge(workload, samples, aim) for aim in workload.aims if aim.language in languages]


def aim_line(verdict: dict[str, Any]) -> str:
    """One aim in words."""
    names = {"cpu": "CPU", "thread": "user's thread", "p50_us": "p50", "idle_kib": "KiB"}
    sign = "reached" if verdict["reached"] else "NOT REACHED"
    against = "" if verdict["metric"] == "idle_kib" else f" of {verdict['peer']}"
    return (
        f"  {verdict['language']}, {names[verdict['metric']]}: {verdict['ratio']:.2f}{against}"
        f" by {verdict['ours']}; aim {verdict['aim']:.2f}: {sign}"
    )
