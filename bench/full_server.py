"""The server with a full fleet, and the load of admits that the HTTP benchmarks use."""

from __future__ import annotations

import dataclasses
import ssl
import urllib.request
from pathlib import Path

from harness import Bench, Process, Wrk

ADMIT_BODY = '{"auto_provision":true,"auto_wake":true}'


@dataclasses.dataclass(frozen=True)
class Served:
    """A server and its address."""

    url: str
    process: Process


@dataclasses.dataclass(frozen=True)
class FullServer:
    """A server with a product whose users user-0, user-1, … all have a running engine."""

    process: Process
    url: str
    key: str
    users: int

    @classmethod
    def start(
        cls, bench: Bench, certificate: Path | None = None, key: Path | None = None
    ) -> FullServer:
        """Starts the server, with TLS if there is a certificate and its key."""
        users = 200 if bench.smoke else 100_000
        program = bench.program("bench_http_server")
        command = [program, "--folder", bench.folder() / "store", "--engines", str(users)]
        if certificate and key:
            command += ["--certificate", certificate, "--key", key]
        process = bench.start(command, "ready ")
        _, port, platform_key = str(process.line("ready ")).split()
        scheme = "https" if certificate else "http"
        return cls(process, f"{scheme}://127.0.0.1:{port}", platform_key, users)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def admit(self, user: int) -> bytes:
        """The body of the reply to one admit."""
        request = urllib.request.Request(
            f"{self.url}/engines/user-{user}/admit",
            data=ADMIT_BODY.encode(),
            headers={"X-Platform-Key": self.key, "Content-Type": "application/json"},
        )
        anybody = ssl._create_unverified_context()
        with urllib.request.urlopen(request, timeout=10, context=anybody) as reply:
            body: bytes = reply.read()
        return body

    def load(self, bench: Bench, connections: int, other: Served | None = None) -> Wrk:
        """Sends admits of random users to this server, or the same requests to another."""
        target = other or Served(self.url, self.process)
        return bench.wrk(
            target.url,
            self.users,
            "POST",
            "/engines/*/admit",
            {"X-Platform-Key": self.key, "Content-Type": "application/json"},
            ADMIT_BODY,
            connections=connections,
            threads=1 if connections < 64 else 2,
            seconds=1 if bench.smoke else 4,
            server=target.process,
        )
