"""The server's admit over TLS with keep-alive, beside a fixed body of the same size from nginx."""

from __future__ import annotations

import functools

from full_server import FullServer, Served
from harness import Bench, median_ratio, median_wrk
from nginx import Certificate, start_nginx

OURS, NGINX = "roundhouse, TLS", "nginx, TLS"


def run(bench: Bench) -> None:
    certificate = Certificate(bench)
    server = FullServer.start(bench, certificate.file, certificate.key)
    body = server.admit(server.users // 2).decode()
    servers = {
        OURS: Served(server.url, server.process),
        NGINX: start_nginx(bench, body, certificate),
    }
    for count in [8] if bench.smoke else [8, 64]:
        sides = {
            side: functools.partial(server.load, bench, count, served)
            for side, served in servers.items()
        }
        for side in sides.values():
            side()  # not counted: fills caches, starts threads and workers
        results = bench.in_turn(bench.runs, sides, f"{count} connections:")
        rates = {side: [run.requests_per_s for run in runs] for side, runs in results.items()}
        for side, runs in results.items():
            bench.row(
                f"{side}, {count} connections",
                **median_wrk(runs).figures,
                ours_over_it=median_ratio(rates[OURS], rates[side]),
            )
        bench.target(
            f"requests/s over nginx's at {count} connections",
            median_ratio(rates[OURS], rates[NGINX]),
            at_least=0.70,
            unit="×",
        )
