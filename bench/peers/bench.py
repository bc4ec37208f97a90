"""The server's admit beside what a product would otherwise put together, or take from the shelf.

Each peer has the number of workers and of connections that it is fastest with on this machine.
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
    """Something that is measured, as it is fastest."""

    load: Callable[[int], Wrk]
    connections: int
    workers: int | None = None  # processes; None if it is one with threads

    def measure(self) -> Wrk:
        return self.load(self.connections)


def best_connections(bench: Bench, what: str, load: Callable[[int], Wrk]) -> tuple[int, float]:
    """The number of connections with the most requests/s, and how many those are."""
    load(8)  # not counted: caches fill, workers start
    rates = {}
    for connections in (8,) if bench.smoke else (8, 64):
        bench.tell(f"{what}, {connections} connections, a trial")
        rates[connections] = load(connections).requests_per_s
    bench.samples.append({"what": f"trial: {what}: connections, requests/s", "results": rates})
    best = max(rates, key=rates.__getitem__)
    return best, rates[best]


def fastapi_side(bench: Bench, like: FullServer) -> Side:
    service = FastApiService(bench, like)
    trials = {}
    for workers in (1,) if bench.smoke else (1, 2, 4):
        service.serve_with(workers)
        trials[workers] = best_connections(bench, f"{FASTAPI}, {workers} workers", service.load)
    workers = max(trials, key=lambda tried: trials[tried][1])
    service.serve_with(workers)
    connections, _ = trials[workers]
    service.load(connections)  # not counted either
    return Side(service.load, connections, workers)


def jupyterhub_side(bench: Bench) -> Side:
    hub = JupyterHub(bench)
    connections, _ = best_connections(bench, JUPYTERHUB, hub.load)
    return Side(hub.load, connections, workers=1)


def peers_there(bench: Bench, server: FullServer) -> dict[str, Side]:
    """A peer that is not on this machine has a row that says so."""
    makers = {
        FASTAPI: lambda: fastapi_side(bench, server),
        JUPYTERHUB: lambda: jupyterhub_side(bench),
    }
    sides, reasons = {}, []
    for name, make in makers.items():
        try:
            sides[name] = make()
        except Skip as why:
            bench.row(f"{name}: skipped: {why}")
            reasons.append(str(why))
    if not sides:
        raise Skip("; ".join(reasons))
    return sides


def run(bench: Bench) -> None:
    server = FullServer.start(bench)
    ours = Side(lambda connections: server.load(bench, connections), connections=64)
    sides = {OURS: ours, **peers_there(bench, server)}
    ours.measure()  # not counted
    results = bench.in_turn(bench.runs, {name: side.measure for name, side in sides.items()})
    rates = {name: [one.requests_per_s for one in runs] for name, runs in results.items()}
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
        bench.target(f"requests/s over {FASTAPI}", ratio, at_least=30, unit="×")
