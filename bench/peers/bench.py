"""The server's admit beside comparable services.

Each peer runs with the number of workers and of connections at which it is fastest on this
machine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from full_server import FullServer
from harness import Bench, Skip, Wrk, median_ratio, median_wrk
from peers.fastapi_service import FastApiService
from peers.jupyterhub_service import JupyterHub

OURS = "roundhouse"
FASTAPI = "FastAPI + asyncpg + PostgreSQL"
JUPYTERHUB = "JupyterHub user look-up"


@dataclasses.dataclass(frozen=True)
class Side:
    """A service to measure, in its fastest configuration."""

    load: Callable[[int], Wrk]
    connections: int
    workers: int | None = None  # processes; None for one process with threads

    def measure(self) -> Wrk:
        return self.load(self.connections)


def best_connections(bench: Bench, name: str, load: Callable[[int], Wrk]) -> tuple[int, float]:
    """The number of connections with the most requests/s, and that rate."""
    load(8)  # not counted: fills caches, starts workers
    rates = {}
    for connections in (8,) if bench.smoke else (8, 64):
        bench.show_progress(f"{name}, {connections} connections, a trial")
        rates[connections] = load(connections).requests_per_s
    bench.samples.append({"what": f"trial: {name}: connections, requests/s", "results": rates})
    best = max(rates, key=rates.__getitem__)
    return best, rates[best]


def fastapi_side(bench: Bench, server: FullServer) -> Side:
    service = FastApiService(bench, server)
    trials = {}
    for workers in (1,) if bench.smoke else (1, 2, 4):
        service.serve_with(workers)
        trials[workers] = best_connections(bench, f"{FASTAPI}, {workers} workers", service.load)
    workers = max(trials, key=lambda tried: trials[tried][1])
    service.serve_with(workers)
    connections, _ = trials[workers]
    service.load(connections)  # not counted: fills caches
    return Side(service.load, connections, workers)


def jupyterhub_side(bench: Bench) -> Side:
    hub = JupyterHub(bench)
    connections, _ = best_connections(bench, JUPYTERHUB, hub.load)
    return Side(hub.load, connections, workers=1)


def available_peers(bench: Bench, server: FullServer) -> dict[str, Side]:
    """The peers that are installed. Each missing peer gets a row that says why."""
    makers = {
        FASTAPI: lambda: fastapi_side(bench, server),
        JUPYTERHUB: lambda: jupyterhub_side(bench),
    }
    sides, reasons = {}, []
    for name, make in makers.items():
        try:
            sides[name] = make()
        except Skip as reason:
            bench.row(f"{name}: skipped: {reason}")
            reasons.append(str(reason))
    if not sides:
        raise Skip("; ".join(reasons))
    return sides


def run(bench: Bench) -> None:
    server = FullServer.start(bench)
    ours = Side(lambda connections: server.load(bench, connections), connections=64)
    sides = {OURS: ours, **available_peers(bench, server)}
    ours.measure()  # not counted
    results = bench.in_turn(bench.runs, {name: side.measure for name, side in sides.items()})
    rates = {name: [run.requests_per_s for run in runs] for name, runs in results.items()}
    for name, side in sides.items():
        bench.row(
            name,
            workers=side.workers,
            connections=side.connections,
            **median_wrk(results[name]).figures,
            ours_over_it=median_ratio(rates[OURS], rates[name]),
        )
    if FASTAPI in sides:
        ratio = median_ratio(rates[OURS], rates[FASTAPI])
        bench.target(f"requests/s over {FASTAPI}", ratio, at_least=25, unit="×")
        if not bench.smoke:  # whose runs are shorter than the clock's ticks
            spent = {side: [run.cpu_us or 0.0 for run in results[side]] for side in (OURS, FASTAPI)}
            ratio = median_ratio(spent[FASTAPI], spent[OURS])
            bench.target(
                f"processor time per request of {FASTAPI} over ours", ratio, at_least=30, unit="×"
            )
