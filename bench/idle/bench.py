"""Many idle connections: the memory of each, and what they cost the busy connections."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

from full_server import ADMIT_BODY, FullServer
from harness import Bench, Failed, Wrk, median_ratio, median_wrk

BUSY = 64
SPARE_FILES = 200
ALONE, BESIDE = "alone", "beside the idle ones"


class Client:
    """A keep-alive connection."""

    def __init__(self, server: FullServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self._key = server.key

    def close(self) -> None:
        self._socket.close()

    def admitted(self, user: int) -> bool:
        """Whether an admit on this connection gets a complete reply with status 200."""
        head = f"POST /engines/user-{user}/admit HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"X-Platform-Key: {self._key}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(ADMIT_BODY)}\r\n\r\n"
        try:
            self._socket.sendall((head + ADMIT_BODY).encode())
            return self._reply().startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def _reply(self) -> bytes:
        reply = b""
        while b"\r\n\r\n" not in reply or len(reply) < whole_length(reply):
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("closed before the reply was complete")
            reply += more
        return reply


def whole_length(reply: bytes) -> int:
    """The length of a reply, from its headers."""
    head, _, _ = reply.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return len(head) + 4 + int(lengths[0].split(b":")[1])


def raise_open_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Failed(f"ulimit -Hn is {hard}: {wanted} files have to be open at once")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@contextlib.contextmanager
def idle_connections(server: FullServer, count: int) -> Iterator[list[Client]]:
    """Opens connections and sends one admit on each. The server closes a connection after 75 s
    without another request, so use them for less."""
    clients: list[Client] = []
    try:
        for number in range(count):
            clients.append(Client(server))
            if not clients[-1].admitted(number % server.users):
                raise Failed(f"connection {number} of {count} got no 200: {server.process.output}")
        yield clients
    finally:
        for client in clients:
            client.close()


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
