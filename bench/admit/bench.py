"""The cost of one admit in a program that embeds the SDK: on both stores, in fleets of a thousand
to a million engines, on one thread and two, beside what no program can do without (the floor)."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict

from harness import Bench, Failed, median, median_ratio

STORES = ("memory", "lmdb")
SIZES = (1_000, 100_000, 1_000_000)
SMOKE_SIZES = (100,)
# A repetition is short, but filling a fleet of a million engines takes a while.
TIMEOUT_S = 1_800

PER_SECOND = "items_per_second"


class Measured:
    """All repetitions of all benchmarks. Those of one fleet were run in random order, so that
    changes on the machine affect an admit and its floor alike."""

    def __init__(self, bench: Bench) -> None:
        self.sizes = SMOKE_SIZES if bench.smoke else SIZES
        self._runs: dict[tuple[str, str, int, int], list[dict[str, float]]] = defaultdict(list)
        for store in STORES:
            for engines in self.sizes:
                bench.show_progress(f"{store}, {engines:,} engines")
                self._run(bench, store, engines)
        bench.samples.append({"what": "repetitions", "results": list(self._runs.values())})

    def _run(self, bench: Bench, store: str, engines: int) -> None:
        command = [str(bench.program("bench_admit_sdk")), "--benchmark_format=json"]
        command += [f"--benchmark_filter=/{store}/{engines}/"]
        command += [f"--benchmark_repetitions={bench.runs}"]
        command += ["--benchmark_enable_random_interleaving=true"]
        command += ["--smoke"] if bench.smoke else []
        ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        if ran.returncode != 0:
            raise Failed(f"bench_admit_sdk: {ran.stderr}")
        for repetition in json.loads(ran.stdout)["benchmarks"]:
            if repetition["run_type"] == "iteration":
                name = repetition["name"].split("/")[0]
                self._runs[name, store, engines, repetition["threads"]].append(repetition)

    def all_of(self, name: str, figure: str, store: str, engines: int, threads: int) -> list[float]:
        return [run[figure] for run in self._runs[name, store, engines, threads]]

    def of(self, name: str, figure: str, store: str, engines: int, threads: int = 1) -> float:
        return median(self.all_of(name, figure, store, engines, threads))

    def over_floor(self, store: str, engines: int, threads: int = 1) -> float:
        """How many times as long as its floor an admit takes."""
        floors, admits = (
            self.all_of(name, PER_SECOND, store, engines, threads) for name in ("floor", "admit")
        )
        return median_ratio(floors, admits)

    def gain(self, name: str, store: str, engines: int) -> float:
        """How many times as much two threads do as one."""
        both, alone = (
            self.all_of(name, PER_SECOND, store, engines, threads) for threads in (2, 1)
        )
        return median_ratio(both, alone)


def add_rows(bench: Bench, measured: Measured, store: str, engines: int) -> None:
    for threads in (1, 2):
        fleet = f"{store}, {engines:,} engines, {threads} thread{'s' if threads > 1 else ''}"
        for name, label in (("floor", f"floor beside {fleet}"), ("admit", fleet)):
            per_second = measured.of(name, PER_SECOND, store, engines, threads)
            is_admit = name == "admit"
            has_parts = is_admit and threads == 1

            def part_ns(part: str, shown: bool = has_parts) -> float | None:
                return measured.of(part, "real_time", store, engines) if shown else None

            def slowest_us(figure: str, shown: bool = has_parts) -> float | None:
                return measured.of("slowest", figure, store, engines) / 1000 if shown else None

            bench.row(
                label,
                per_s=per_second,
                ns_each=1e9 * threads / per_second,
                over_floor=measured.over_floor(store, engines, threads) if is_admit else None,
                of_it_key_ns=part_ns("authenticate"),
                of_it_find_ns=part_ns("find"),
                p50_us=slowest_us("p50_ns"),
                p99_us=slowest_us("p99_ns"),
                p999_us=slowest_us("p999_ns"),
                allocations=round(measured.of(name, "allocations", store, engines, threads), 2)
                if is_admit
                else None,
            )


def run(bench: Bench) -> None:
    measured = Measured(bench)
    for store in STORES:
        for engines in measured.sizes:
            add_rows(bench, measured, store, engines)
    many = measured.sizes[-1]
    for store, most in (("memory", 2.0), ("lmdb", 3.5)):
        label = f"{store}, {many:,} engines, 1 thread, beside the floor"
        bench.target(label, measured.over_floor(store, many), at_most=most, unit="×")
    for store in STORES:
        gains = [measured.gain(name, store, many) for name in ("admit", "floor")]
        label = f"{store}, {many:,} engines: gain by a second thread beside the floor's"
        bench.target(label, gains[0] / gains[1], at_least=0.85, unit="×")
    allocations = measured.of("admit", "allocations", "memory", many)
    bench.target("allocations of each", round(allocations, 2), at_most=2)
    slowest = measured.of("slowest", "p999_ns", "memory", many) / 1000
    bench.target("p99.9 of each", slowest, at_most=10, unit="µs")
