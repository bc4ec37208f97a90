"""Many connections of one client, which the benchmarks of connections hold."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator

from full_server import ADMIT_BODY, FullServer
from harness import Failed

SPARE_FILES = 200


class Client:
    """A keep-alive connection."""

    def __init__(self, server: FullServer, address: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(
            ("127.0.0.1", server.port), timeout=30, source_address=(address, 0)
        )
        self._key = server.key

    def close(self) -> None:
        self._socket.close()

    def stall(self) -> None:
        """Sends the beginning of a request, and no more."""
        self._socket.sendall(b"POST /engines/user-0/admit HTTP/1.1\r\nHost: 127")

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
def idle_connections(
    server: FullServer, count: int, address: str = "127.0.0.1"
) -> Iterator[list[Client]]:
    """Opens connections from an address and sends one admit on each. The server closes a connection
    after 75 s without another request, so use them for less."""
    clients: list[Client] = []
    try:
        for number in range(count):
            clients.append(Client(server, address))
            if not clients[-1].admitted(number % server.users):
                raise Failed(f"connection {number} of {count} got no 200: {server.process.output}")
        yield clients
    finally:
        for client in clients:
            client.close()


@contextlib.contextmanager
def stalled_connections(server: FullServer, count: int, address: str) -> Iterator[list[Client]]:
    """Opens connections from an address and sends a part of a request on each. The server closes
    such a connection after 10 s."""
    clients: list[Client] = []
    try:
        for _ in range(count):
            clients.append(Client(server, address))
            clients[-1].stall()
        yield clients
    finally:
        for client in clients:
            client.close()
