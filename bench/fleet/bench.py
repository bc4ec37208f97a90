"""What grows with the fleet: the time of a start, the memory per engine, the calls about the whole
fleet, and a sweep of probes."""

from __future__ import annotations

from typing import Any

from harness import Bench, median
from json_lines import measured_by

Line = dict[str, Any]
AUDIT_ROWS_EACH = 10


def named(lines: list[Line], measure: str) -> list[Line]:
    return [line for line in lines if line["measure"] == measure]


def measure(bench: Bench, engines: int, runs: int, *further: object) -> list[Line]:
    """Measures `runs` starts; the rest once, with a thousand calls of each kind."""
    program = bench.program("bench_fleet_measure")
    return measured_by(bench, program, "--engines", engines, "--runs", runs, *further)


def fleet_row(bench: Bench, lines: list[Line]) -> None:
    """Adds a row with what a fleet costs, and each of its engines."""
    memory = {line["when"]: line for line in named(lines, "memory")}
    start = named(lines, "start")[0]
    calls = [line for line in named(lines, "call") if line["engines"] == start["engines"]]
    rows = start["engines"] * start["history"]
    bench.row(
        f"{start['engines']:,} {start['status']}" + (f", {rows:,} audit rows" if rows else ""),
        start_ms=start["serving_ms"],
        all_found_ms=named(lines, "found")[0]["all_found_ms"],
        bytes_each=memory["found"]["heap_bytes"],
        bytes_after_admit=memory["admitted"]["heap_bytes"] if "admitted" in memory else None,
        resident_bytes_each=memory["found"]["resident_bytes"],
        **{f"{line['target']} us": line["median_us"] for line in calls},
    )


def call_targets(bench: Bench, lines: list[Line], few: int, many: int) -> None:
    """Adds targets for the calls that should take as long in a large fleet as in a small one."""
    us = {(line["target"], line["engines"]): line["median_us"] for line in named(lines, "call")}
    for target in ("/status", "/metrics"):
        ratio = us[target, many] / us[target, few]
        bench.target(f"{target}: {many:,} engines beside {few:,}", ratio, at_most=1.5, unit="×")


def sweep_row(bench: Bench, engines: int, interval_ms: int) -> None:
    program = bench.program("bench_fleet_sweep")
    arguments = ["--engines", engines, "--interval-ms", interval_ms]
    runs = [measured_by(bench, program, *arguments)[0] for _ in range(bench.runs)]
    bench.row(
        f"probes of {engines:,} engines, {interval_ms / 1000:g} s apart",
        sweep_ms=median(run["sweep_ms"] for run in runs),
        cpu_ms=median(run["cpu_ms"] for run in runs),
        cpu_us_per_probe=median(run["cpu_us_per_probe"] for run in runs),
    )


def run(bench: Bench) -> None:
    usual, few, many = (1_000, 1_000, 2_000) if bench.smoke else (50_000, 1_000, 1_000_000)
    for status in (["--stopped"], []):
        lines = measure(bench, usual, bench.runs, *status)
        fleet_row(bench, lines)
        start = named(lines, "start")[0]
        label = f"start with {usual:,} {start['status']} engines"
        bench.target(label, start["serving_ms"], at_most=1_000, unit="ms")

    history = ["--history", AUDIT_ROWS_EACH]
    fleet_row(bench, measure(bench, few, bench.runs, *history))
    # One start suffices to show the growth.
    large = measure(bench, many, 1, *history, "--beside", few)
    fleet_row(bench, large)
    call_targets(bench, large, few, many)
    for line in named(large, "memory"):
        label = f"memory per engine of {many:,}, beside the store's pages, {line['when']}"
        bench.target(label, line["heap_bytes"], at_most=200, unit="bytes")

    sweep_row(bench, 1_000 if bench.smoke else 10_000, 1_000)
