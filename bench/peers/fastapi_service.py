"""The same admit from FastAPI, asyncpg and PostgreSQL: runs the service in fastapi_admit/."""

from __future__ import annotations

import base64
import dataclasses
import os
import secrets
import subprocess
from pathlib import Path

from full_server import FullServer, Served
from harness import Bench, Failed, Wrk
from peers.interpreter import python_with
from peers.postgres import Postgres

FOLDER = Path(__file__).resolve().parent / "fastapi_admit"
MODULES = "fastapi, uvicorn, uvloop, httptools, asyncpg, cryptography"
PACKAGES = " ".join(f"python3-{name}" for name in MODULES.split(", "))
# Counted on every admit, and never reached.
RATE_LIMIT_RPM = 2**32 - 1


class FastApiService:
    """A service with the same users as `server`, and a product with the same key."""

    def __init__(self, bench: Bench, server: FullServer) -> None:
        self._bench = bench
        self._server = server
        self._python = python_with(MODULES, PACKAGES)
        self._served: Served | None = None
        self._postgres = Postgres(bench)
        self._env = {
            "DATABASE_URL": self._postgres.url,
            "ORCH_MASTER_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "PLATFORM_KEY": server.key,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._fill()

    def _fill(self) -> None:
        command = [self._python, str(FOLDER / "fill.py"), f"--engines={self._server.users}"]
        command += [f"--rate-limit-rpm={RATE_LIMIT_RPM}"]
        env = {**os.environ, **self._env}
        ran = subprocess.run(command, env=env, capture_output=True, text=True)
        if ran.returncode != 0:
            raise Failed(f"{command[1]}: {ran.stdout}{ran.stderr}")

    def serve_with(self, workers: int) -> None:
        """Restarts the service with this number of processes."""
        if self._served:
            self._bench.stop(self._served.process)
        port = self._bench.free_port()
        command = [self._python, "-m", "uvicorn", "app:app", "--app-dir", FOLDER]
        command += ["--port", port, "--workers", workers, "--loop", "uvloop", "--http", "httptools"]
        env = {**self._env, "WORKERS": str(workers)}
        process = self._bench.start(
            [*command, "--no-access-log"], "INFO:     Application startup complete", env
        )
        self._served = Served(f"http://127.0.0.1:{port}", process)

    def load(self, connections: int) -> Wrk:
        """Measures admits. The processor time includes that of the database."""
        before = self._postgres.cpu_s()
        measured = self._server.load(self._bench, connections, self._served)
        of_postgres = (self._postgres.cpu_s() - before) * 1e6 / measured.requests
        return dataclasses.replace(measured, cpu_us=(measured.cpu_us or 0) + of_postgres)
