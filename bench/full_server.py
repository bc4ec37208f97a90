"""Our server over a full fleet, and the load that its admit gets: for every benchmark over HTTP."""

from __future__ import annotations

import dataclasses
import urllib.request

from harness import Bench, Process, Wrk

ADMIT_BODY = '{"auto_provision":true,"auto_wake":true}'


@dataclasses.dataclass(frozen=True)
class Served:
    """A server of any kind, and where it answers."""

    url: str
    process: Process


@dataclasses.dataclass(frozen=True)
class FullServer:
    """A server with a product whose users user-0, user-1, … all have an engine that runs."""

    process: Process
    port: int
    key: str
    users: int

    @classmethod
    def start(cls, bench: Bench) -> FullServer:
        users = 200 if bench.smoke else 100_000
        program = bench.program("bench_http_server")
        command = [program, "--folder", bench.folder() / "store", "--engines", str(users)]
        process = bench.start(command, "ready ")
        _, port, key = str(process.line("ready ")).split()
        return cls(process, int(port), key, users)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def admit(self, user: int) -> bytes:
        """The body that one admit is answered with."""
        request = urllib.request.Request(
            f"{self.url}/engines/user-{user}/admit",
            data=ADMIT_BODY.encode(),
            headers={"X-Platform-Key": self.key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            body: bytes = reply.read()
        return body

    def load(self, bench: Bench, connections: int, other: Served | None = None) -> Wrk:
        """Admits of users at random for a while, from this server or from another that is asked
        the same."""
        asked = other or Served(self.url, self.process)
        return bench.wrk(
            asked.url,
            self.users,
            "POST",
            "/engines/*/admit",
            {"X-Platform-Key": self.key, "Content-Type": "application/json"},
            ADMIT_BODY,
            connections=connections,
            threads=1 if connections < 64 else 2,
            seconds=1 if bench.smoke else 4,
            server=asked.process,
        )
