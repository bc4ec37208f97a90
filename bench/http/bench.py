"""The server's admit beside a fixed body of the same size from nginx and from cpp-httplib."""

from __future__ import annotations

import functools
from collections.abc import Callable

from full_server import FullServer, Served
from harness import Bench, Wrk, median_ratio, median_wrk
from nginx import start_nginx

OURS, NGINX, HTTPLIB = "roundhouse", "nginx", "cpp-httplib"
# It has a thread for each connection. At 1,000 it breaks some off.
HTTPLIB_MOST_CONNECTIONS = 64


def start_httplib(bench: Bench, body: str, connections: int) -> Served:
    file = bench.folder() / "body.json"
    file.write_text(body)
    # Each open connection occupies a thread; some more serve connections that are being closed.
    threads = connections + 64
    program = bench.program("bench_http_httplib_server")
    process = bench.start([program, "--body", file, "--threads", str(threads)], "ready ")
    return Served(f"http://127.0.0.1:{str(process.line('ready ')).split()[1]}", process)


def run(bench: Bench) -> None:
    connections = [8] if bench.smoke else [8, 64, 1_000]
    server = FullServer.start(bench)
    body = server.admit(server.users // 2).decode()
    servers = {
        OURS: Served(server.url, server.process),
        NGINX: start_nginx(bench, body),
        HTTPLIB: start_httplib(bench, body, HTTPLIB_MOST_CONNECTIONS),
    }
    for count in connections:
        sides = {
            side: functools.partial(server.load, bench, count, served)
            for side, served in servers.items()
            if side != HTTPLIB or count <= HTTPLIB_MOST_CONNECTIONS
        }
        for side in sides.values():
            side()  # not counted: fills caches, starts threads and workers
        add_rows(bench, count, bench.in_turn(bench.runs, sides, f"{count} connections:"))


def add_rows(bench: Bench, count: int, results: dict[str, list[Wrk]]) -> None:
    rates = {side: [run.requests_per_s for run in runs] for side, runs in results.items()}
    for side, runs in results.items():
        bench.row(
            f"{side}, {count} connections",
            **median_wrk(runs).figures,
            ours_over_it=median_ratio(rates[OURS], rates[side]),
        )
    add_targets(bench, count, results)


def add_targets(bench: Bench, count: int, results: dict[str, list[Wrk]]) -> None:
    def over(other: str, figure: Callable[[Wrk], float]) -> float:
        return median_ratio(*([figure(run) for run in results[side]] for side in (OURS, other)))

    at = f"at {count} connections"
    rate = over(NGINX, lambda run: run.requests_per_s)
    bench.target(
        f"requests/s over nginx's {at}", rate, at_least=0.80 if count == 64 else 0.75, unit="×"
    )
    delay = over(NGINX, lambda run: run.p99_ms)
    bench.target(f"p99 over nginx's {at}", delay, at_most=1.5, unit="×")
    if not bench.smoke:  # whose runs are shorter than the clock's ticks
        spent = over(NGINX, lambda run: run.cpu_us or 0.0)
        bench.target(f"processor time per request over nginx's {at}", spent, at_most=1.4, unit="×")
    if count == 64 or bench.smoke:
        to_httplib = over(HTTPLIB, lambda run: run.requests_per_s)
        bench.target(f"requests/s over cpp-httplib's {at}", to_httplib, at_least=1.5, unit="×")
