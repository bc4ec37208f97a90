"""Many idle connections: the memory of each, and what they cost the busy connections."""

from __future__ import annotations

import resource
from pathlib import Path

from connections import SPARE_FILES, idle_connections, raise_open_file_limit
from full_server import FullServer
from harness import Bench, Wrk, median_ratio, median_wrk

BUSY = 64
ALONE, BESIDE = "alone", "beside the idle ones"


def socket_memory_kib() -> float:
    """The kernel's buffers for all TCP sockets, of clients and server."""
    line = next(
        line
        for line in Path("/proc/net/sockstat").read_text().splitlines()
        if line.startswith("TCP:")
    )
    words = line.split()
    return int(words[words.index("mem") + 1]) * resource.getpagesize() / 1024


def memory_rows(bench: Bench, server: FullServer, count: int) -> None:
    """Measures what idle connections add to the memory of a server that has warmed up."""
    before, anonymous = server.process.memory_kib(), server.process.memory_kib("RssAnon")
    in_kernel = socket_memory_kib()
    with idle_connections(server, count):
        held = (server.process.memory_kib() - before) / count
        held_anonymous = (server.process.memory_kib("RssAnon") - anonymous) / count
        kernel = (socket_memory_kib() - in_kernel) / count
    bench.row(
        f"memory of each of {count:,} idle connections",
        resident_kib=held,
        of_that_anonymous_kib=held_anonymous,
        kernel_buffers_kib=kernel,
        resident_before_mib=before / 1024,
    )
    bench.target(f"memory per connection at {count:,}", held, at_most=20, unit="KiB")


def run(bench: Bench) -> None:
    count = 200 if bench.smoke else 10_000
    raise_open_file_limit(count + SPARE_FILES)
    server = FullServer.start(bench)
    server.load(bench, BUSY)  # not counted: allocates the memory that calls need
    memory_rows(bench, server, count)
    served: list[int] = []

    def beside() -> Wrk:
        with idle_connections(server, count) as clients:
            measured = server.load(bench, BUSY)
            still = sum(client.admitted(n % server.users) for n, client in enumerate(clients))
        served.append(still)
        return measured

    sides = {ALONE: lambda: server.load(bench, BUSY), BESIDE: beside}
    results = bench.in_turn(bench.runs, sides)
    for side, runs in results.items():
        bench.row(
            f"{BUSY} busy connections {side}",
            **median_wrk(runs).figures,
            over_alone=median_ratio(
                [measured.requests_per_s for measured in runs],
                [measured.requests_per_s for measured in results[ALONE]],
            ),
        )
    bench.target("idle connections that are served afterwards", min(served), at_least=count)
