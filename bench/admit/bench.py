"""The cost of one admit in a program that embeds the SDK: on both stores, in fleets of a thousand
to a million engines, on one thread and two."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict

from harness import Bench, Failed, median

# A repetition is short, but filling a fleet of a million engines takes a while.
TIMEOUT_S = 1_800


def measure(bench: Bench) -> dict[tuple[str, str, int, int], list[dict[str, float]]]:
    """All repetitions, by benchmark, store, number of engines and number of threads."""
    command = [str(bench.program("bench_admit_sdk")), f"--benchmark_repetitions={bench.runs}"]
    command += ["--benchmark_format=json"] + (["--smoke"] if bench.smoke else [])
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if ran.returncode != 0:
        raise Failed(f"bench_admit_sdk: {ran.stderr}")
    results = defaultdict(list)
    for repetition in json.loads(ran.stdout)["benchmarks"]:
        if repetition["run_type"] == "iteration":
            name, store, engines = repetition["name"].split("/")[:3]
            results[name, store, int(engines), repetition["threads"]].append(repetition)
    return results


def run(bench: Bench) -> None:
    results = measure(bench)
    bench.samples.append({"what": "repetitions", "results": list(results.values())})

    def of(name: str, figure: str, store: str, engines: int, threads: int = 1) -> float:
        return median(run[figure] for run in results[name, store, engines, threads])

    def ns_of(name: str, store: str, engines: int) -> float:
        return of(name, "real_time", store, engines)

    per_second = "items_per_second"
    for name, store, engines, threads in results:
        if name != "admit":
            continue
        alone = threads == 1
        bench.row(
            f"{store}, {engines:,} engines, {threads} thread{'s' if threads > 1 else ''}",
            admits_per_s=of("admit", per_second, store, engines, threads),
            ns_each=1e9 * threads / of("admit", per_second, store, engines, threads),
            of_it_key_ns=ns_of("authenticate", store, engines) if alone else None,
            of_it_find_ns=ns_of("find", store, engines) if alone else None,
            p50_us=of("slowest", "p50_ns", store, engines) / 1000 if alone else None,
            p99_us=of("slowest", "p99_ns", store, engines) / 1000 if alone else None,
            p999_us=of("slowest", "p999_ns", store, engines) / 1000 if alone else None,
            allocations=round(of("admit", "allocations", store, engines, threads), 2),
        )
    sizes = sorted({engines for _, _, engines, _ in results})
    few, many = sizes[0], sizes[-1]
    fleet = f"{many:,} engines, 1 thread"
    memory, lmdb = (of("admit", per_second, store, many) for store in ("memory", "lmdb"))
    bench.target(f"memory store, {fleet}", memory, at_least=1_500_000, unit="admits/s")
    allocations = of("admit", "allocations", "memory", many)
    bench.target("allocations of each", round(allocations, 2), at_most=2)
    slowest = of("slowest", "p999_ns", "memory", many) / 1000
    bench.target("p99.9 of each", slowest, at_most=10, unit="µs")
    bench.target(f"LMDB, {fleet}", lmdb, at_least=600_000, unit="admits/s")
    for store, most in (("memory", 2), ("lmdb", 3)):
        dearer = of("admit", per_second, store, few) / of("admit", per_second, store, many)
        bench.target(f"{store}: {many:,} engines beside {few:,}", dearer, at_most=most, unit="×")
