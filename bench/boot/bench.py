"""Measures a provision through the orchestrator beside the steps that it cannot do without: for a
process, to start it and ask for its health; for a container, the daemon's calls."""

from __future__ import annotations

import subprocess
from typing import Any

from harness import Bench, Skip, median
from json_lines import measured_by

DOCKER_IMAGE = "roundhouse-demo-engine:latest"


def sizes(bench: Bench) -> list[object]:
    one_at_a_time = 1 if bench.smoke else 2 * bench.runs + 1
    at_once = 2 if bench.smoke else 50
    return ["--rounds", one_at_a_time, "--at-once", at_once, "--rounds-at-once", bench.runs]


def add_row(
    bench: Bench, kind: str, bare: str, line: dict[str, Any], sides: str = "bare_ms provision_ms"
) -> float:
    """Adds a row, and returns how much longer a provision takes."""
    bare_ms, provision_ms = (line[side] for side in sides.split())
    pairs = list(zip(bare_ms, provision_ms, strict=True))
    longer = median(provision - alone for alone, provision in pairs)
    bench.row(
        f"{kind}, {line['at_once']} at once, beside {bare}",
        bare_ms=median(bare_ms),
        provision_ms=median(provision_ms),
        longer_ms=longer,
        ratio=median(provision / alone for alone, provision in pairs),
    )
    return longer


def subprocess_side(bench: Bench) -> None:
    engine = bench.build / "examples/demo_engine"
    if not engine.is_file():
        raise Skip(f"demo_engine is not built (no {engine})")
    lines = measured_by(bench, bench.program("bench_boot_spawn"), engine, *sizes(bench))
    *beside_spawn, beside_plain = lines
    longer = [add_row(bench, "process", "a bare spawn", line) for line in beside_spawn]
    name = "subprocess provision over a bare spawn and first answer"
    bench.target(name, longer[0], at_most=5, unit="ms")
    cost = add_row(
        bench, "process in isolation", "one without", beside_plain, "plain_ms isolated_ms"
    )
    bench.target("subprocess provision with isolation over one without", cost, at_most=3, unit="ms")


def docker_is_there(bench: Bench) -> bool:
    """Whether a daemon answers and has the image."""
    try:
        command = [bench.tool("docker", "docker.io"), "image", "inspect", DOCKER_IMAGE]
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except (Skip, subprocess.TimeoutExpired):
        return False


def docker_side(bench: Bench) -> None:
    if not docker_is_there(bench):
        how = "scripts/with-docker.sh and scripts/build-demo-image.sh"
        bench.row(f"container: skipped, no daemon that has {DOCKER_IMAGE} ({how})")
        return
    program = bench.program("bench_boot_docker")
    for line in measured_by(bench, program, DOCKER_IMAGE, *sizes(bench), within_s=1_800):
        add_row(bench, "container", "bare calls", line)


def run(bench: Bench) -> None:
    subprocess_side(bench)
    docker_side(bench)
