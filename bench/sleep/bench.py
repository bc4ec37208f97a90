"""What sleep gives back: the memory of all engines awake, paused and in deep sleep, and the time of a
wake from deep sleep beside that of a boot."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import Bench, Failed, Skip, median, median_ratio

AT_ONCE = 16
PORTS = (20_000, 20_999)
PAUSED, DEEP = '{"mode":"paused"}', '{"mode":"stopped"}'
BOOT, WAKE = "boot", "wake from deep sleep"


def random_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


class Fleet:
    """A server whose engines are demo engines, and the calls of its product."""

    def __init__(self, bench: Bench) -> None:
        engine = bench.build / "examples/demo_engine"
        if not engine.is_file():
            raise Skip(f"demo_engine is not built (no {engine})")
        self.store = bench.folder() / "store"
        self.key = "pk-sept-" + random_key().rstrip("=")
        port = bench.free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "ORCH_LISTEN": f"127.0.0.1:{port}",
            "ORCH_MASTER_KEY": random_key(),
            "ORCH_ADMIN_KEY": random_key(),
            "ORCH_BOOTSTRAP_PRODUCT": "bench",
            "ORCH_BOOTSTRAP_PLATFORM_KEY": self.key,
            "ORCH_STORE_PATH": str(self.store),
            "ORCH_ENGINE_BACKEND": "subprocess",
            "ORCH_ENGINE_COMMAND": f"'{engine}'",
            "ORCH_PORT_MIN": str(PORTS[0]),
            "ORCH_PORT_MAX": str(PORTS[1]),
            "ORCH_SLEEP_AFTER_S": "0",
            "ORCH_STOP_GRACE_S": "5",
        }
        bench.start([bench.program("roundhouse-server")], self.serves, environment)

    def serves(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False  # it does not listen yet, or recovers

    def post(self, path: str, body: str = "{}") -> dict[str, object]:
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=body.encode(),
            headers={"X-Platform-Key": self.key, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                answer: dict[str, object] = json.load(reply)
        except urllib.error.HTTPError as refusal:
            raise Failed(f"POST {path}: {refusal.read().decode()}") from refusal
        return answer

    def for_each(self, users: Iterable[str], verb: str, body: str) -> None:
        with ThreadPoolExecutor(AT_ONCE) as callers:
            list(callers.map(lambda user: self.post(f"/engines/{user}/{verb}", body), users))

    def provision(self, users: Iterable[str]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as callers:
            bodies = [json.dumps({"user_id": user}) for user in users]
            list(callers.map(lambda body: self.post("/engines/provision", body), bodies))

    def memory_kib(self) -> list[int]:
        """The resident memory of each process of an engine."""
        engines = str(self.store / "engines") + "/"
        out = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if not os.readlink(process / "cwd").startswith(engines):
                    continue
                status = (process / "status").read_text()
            except OSError:
                continue  # another user's, or it has ended meanwhile
            found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
            out.append(int(found[1]) if found else 0)
        return out


def memory_rows(bench: Bench, fleet: Fleet, users: list[str]) -> None:
    def row(label: str, awake: float | None = None) -> float:
        held = fleet.memory_kib()
        total = sum(held)
        given_back = None if awake is None else 100 * (1 - total / awake)
        bench.row(
            label,
            processes=len(held),
            resident_mib=total / 1024,
            given_back_percent=given_back,
        )
        return total

    awake = row(f"{len(users)} engines, awake")
    if awake == 0:
        raise Failed("no process of an engine can be seen")
    fleet.for_each(users, "sleep", PAUSED)
    row("the same, paused", awake)
    fleet.for_each(users, "sleep", DEEP)
    deep = row("the same, in deep sleep", awake)
    bench.target(
        f"memory of {len(users)} engines that deep sleep gives back",
        100 * (1 - deep / awake),
        at_least=90,
        unit="%",
    )
    fleet.for_each(users, "wake", "{}")


def time_rows(bench: Bench, fleet: Fleet, users: list[str]) -> None:
    def timed(rest: str, body: str, back: str) -> float:
        """The median time of the call that brings an engine back, one at a time."""
        times = []
        for user in users:
            fleet.post(f"/engines/{user}/{rest}", body)
            began = time.perf_counter()
            fleet.post(f"/engines/{user}/{back}")
            times.append((time.perf_counter() - began) * 1_000)
        return median(times)

    sides = {
        BOOT: lambda: timed("stop", "{}", "start"),
        WAKE: lambda: timed("sleep", DEEP, "wake"),
    }
    results = bench.in_turn(bench.runs, sides)
    for side, runs in results.items():
        bench.row(side, ms=median(runs), over_boot=median_ratio(runs, results[BOOT]))


def run(bench: Bench) -> None:
    fleet = Fleet(bench)
    users = [f"user-{n}" for n in range(5 if bench.smoke else 300)]
    fleet.provision(users)
    memory_rows(bench, fleet, users)
    time_rows(bench, fleet, users[: 2 if bench.smoke else 20])
