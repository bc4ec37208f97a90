"""JupyterHub's look-up of a user: GET /hub/api/users/{name} at the hub's own port."""

from __future__ import annotations

import json
import secrets
import urllib.request
from pathlib import Path

from harness import Bench, Wrk
from peers.interpreter import python_with

FOLDER = Path(__file__).resolve().parent / "jupyterhub"


class JupyterHub:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._users = 20 if bench.smoke else 1_000
        python = python_with("jupyterhub", "jupyterhub")
        self._filler, self._reader = secrets.token_hex(32), secrets.token_hex(32)
        port = bench.free_port()
        self._url = f"http://127.0.0.1:{port}"
        env = {
            "HUB_FOLDER": str(bench.folder()),
            "HUB_PORT": str(port),
            "HUB_FILLER_TOKEN": self._filler,
            "HUB_READER_TOKEN": self._reader,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [python, "-m", "jupyterhub", "--config", FOLDER / "jupyterhub_config.py"]
        self._process = bench.start(command, self._answers, env)
        self._make_users()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/hub/health", timeout=5):
                return True
        except OSError:
            return False

    def _make_users(self) -> None:
        names = [f"user-{number}" for number in range(self._users)]
        request = urllib.request.Request(
            f"{self._url}/hub/api/users",
            data=json.dumps({"usernames": names}).encode(),
            headers={"Authorization": f"token {self._filler}"},
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            reply.read()

    def load(self, connections: int) -> Wrk:
        return self._bench.wrk(
            self._url,
            self._users,
            "GET",
            "/hub/api/users/*",
            {"Authorization": f"token {self._reader}"},
            connections=connections,
            threads=1 if connections < 64 else 2,
            seconds=1 if self._bench.smoke else 4,
            server=self._process,
        )
