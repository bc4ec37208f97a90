"""What one client address and one product can take from another: the p99 of requests beside another
address's connections, and the time of a provision beside another product's hanging boots and
deletions."""

from __future__ import annotations

import functools
import json
import os
import secrets
import shlex
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from connections import SPARE_FILES, idle_connections, raise_open_file_limit, stalled_connections
from full_server import FullServer
from harness import Bench, Failed, Skip, Wrk, median, median_ratio, median_wrk

BUSY = 16
OTHER_ADDRESS = "127.0.0.2"
ALONE = "alone"
PATIENCE_S = 120

# An engine that never answers, for as long as the file `hang` is beside it.
ENGINE = """#!/bin/sh
if [ -e {hang} ]; then exec sleep 3600; fi
exec {engine}
"""


def connections_side(bench: Bench) -> None:
    idle, stalled = (200, 100) if bench.smoke else (10_000, 3_000)
    raise_open_file_limit(idle + SPARE_FILES)
    server = FullServer.start(bench)
    server.load(bench, BUSY)  # not counted: allocates the memory that calls need

    def beside(others: Callable[[], AbstractContextManager[Any]]) -> Wrk:
        with others():
            return server.load(bench, BUSY)

    neighbours = {
        f"beside {idle:,} idle connections of another address": functools.partial(
            idle_connections, server, idle, OTHER_ADDRESS
        ),
        f"beside {stalled:,} stalled connections of another address": functools.partial(
            stalled_connections, server, stalled, OTHER_ADDRESS
        ),
    }
    for name, others in neighbours.items():
        sides = {ALONE: lambda: server.load(bench, BUSY), name: functools.partial(beside, others)}
        results = bench.in_turn(bench.runs, sides)
        p99s = {side: [run.p99_ms for run in runs] for side, runs in results.items()}
        ratio = median_ratio(p99s[name], p99s[ALONE])
        for side, runs in results.items():
            bench.row(
                f"{BUSY} busy connections {side}",
                **median_wrk(runs).figures,
                p99_over_alone=ratio if side == name else 1.0,
            )
        bench.target(f"p99 {name}", ratio, at_most=1.5, unit="×")
    bench.stop(server.process)


class Product:
    """The calls of a product."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Platform-Key": self._key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return json.load(reply)

    def provision(self, user: str) -> str:
        """Returns the engine's id."""
        engine: str = self.call("POST", "/engines/provision", {"user_id": user})["engine_id"]
        return engine

    def provision_ms(self) -> float:
        """How long the provision of a user's engine takes. The engine is destroyed again."""
        begin = time.monotonic()
        self.provision("measured")
        took = (time.monotonic() - begin) * 1_000
        self.destroy("measured")
        return took

    def destroy(self, user: str) -> None:
        self.call("DELETE", f"/engines/{user}")

    def count(self, status: str) -> int:
        found: int = self.call("GET", "/status")["by_status"][status]
        return found


class Fleet:
    """A server whose engines are processes, with two products."""

    def __init__(self, bench: Bench) -> None:
        engine = bench.build / "examples/demo_engine"
        if not engine.is_file():
            raise Skip(f"demo_engine is not built (no {engine})")
        self.store = bench.folder() / "store"
        folder = bench.folder()
        folder.chmod(0o755)  # engines run as users of their own
        self.hang = folder / "hang"
        command = folder / "engine"
        command.write_text(
            ENGINE.format(hang=shlex.quote(str(self.hang)), engine=shlex.quote(str(engine)))
        )
        command.chmod(0o755)
        self.store.parent.chmod(0o755)
        self._admin_key = secrets.token_urlsafe(32)
        port = bench.free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "ORCH_MASTER_KEY": secrets.token_urlsafe(32) + "=",
            "ORCH_ADMIN_KEY": self._admin_key,
            "ORCH_LISTEN": f"127.0.0.1:{port}",
            "ORCH_STORE_PATH": str(self.store),
            "ORCH_ENGINE_BACKEND": "subprocess",
            "ORCH_ENGINE_COMMAND": shlex.quote(str(command)),
            "ORCH_ENGINE_READABLE": str(engine.parent),
        }
        others = [name for name in os.environ if name.startswith("ORCH_")]
        if others:
            raise Failed(f"{', '.join(others)} would change what is measured: unset them")
        server = bench.program("roundhouse-server")
        bench.start([server], self._is_healthy, settings)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def product(self, slug: str) -> Product:
        request = urllib.request.Request(
            f"{self.url}/products/register",
            data=json.dumps({"slug": slug, "display_name": slug}).encode(),
            headers={"X-Admin-Key": self._admin_key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return Product(self.url, json.load(reply)["platform_api_key"])

    def trash_is_empty(self) -> bool:
        return not any((self.store / "trash").glob("*"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.02)


def all_of(calls: list[Future[Any]]) -> None:
    for call in calls:
        call.exception()  # a provision that a deletion ends fails


def beside_hanging_boots(fleet: Fleet, hog: Product, other: Product, count: int) -> list[float]:
    """Times of the other product's provisions while `count` boots of the first one hang or wait."""
    users = [f"user-{n}" for n in range(count)]
    with ThreadPoolExecutor(2 * count) as callers:
        fleet.hang.touch()
        provisions = [callers.submit(hog.provision, user) for user in users]
        wait_until(lambda: hog.count("provisioning") == count, "the boots that hang")
        hanging = fleet.hang.with_suffix(".over")
        fleet.hang.rename(hanging)  # boots that began with it hang on
        try:
            return [other.provision_ms() for _ in range(5)]
        finally:
            hanging.unlink()
            all_of([callers.submit(hog.destroy, user) for user in users])
            all_of(provisions)


def beside_deletions(
    fleet: Fleet, hog: Product, other: Product, engines: int, files: int
) -> list[float]:
    """Times of the other product's provisions while folders with many files are removed."""
    for n in range(engines):
        folder = fleet.store / "engines" / hog.provision(f"user-{n}") / "files"
        folder.mkdir()
        for file in range(files):
            os.mknod(folder / str(file))
    with ThreadPoolExecutor(engines) as callers:
        deletions = [callers.submit(hog.destroy, f"user-{n}") for n in range(engines)]
        times = [other.provision_ms() for _ in range(5)]
        all_of(deletions)
    wait_until(fleet.trash_is_empty, "the removal of the folders")
    return times


def products_side(bench: Bench) -> None:
    boots, engines, files = (20, 2, 100) if bench.smoke else (200, 10, 100_000)
    fleet = Fleet(bench)
    hog, other = fleet.product("hog"), fleet.product("other")
    neighbours = {
        f"beside {boots} hanging boots of another product": functools.partial(
            beside_hanging_boots, fleet, hog, other, boots
        ),
        f"beside {engines} deletions of {files:,} files each": functools.partial(
            beside_deletions, fleet, hog, other, engines, files
        ),
    }
    other.provision_ms()  # not counted: allocates the memory that calls need
    for name, beside in neighbours.items():
        sides: dict[str, Callable[[], list[float]]] = {
            ALONE: lambda: [other.provision_ms() for _ in range(5)],
            name: beside,
        }
        results = bench.in_turn(bench.runs, sides)
        medians = {side: [median(times) for times in runs] for side, runs in results.items()}
        ratio = median_ratio(medians[name], medians[ALONE])
        for side, runs in results.items():
            bench.row(
                f"a provision {side}",
                median_ms=median(medians[side]),
                longest_ms=max(max(times) for times in runs),
                over_alone=ratio if side == name else 1.0,
            )
        bench.target(f"a provision {name}", ratio, at_most=2, unit="×")


def run(bench: Bench) -> None:
    products_side(bench)
    connections_side(bench)
