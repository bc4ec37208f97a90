"""Runs benchmarks: prints a table for each, and writes it as JSON.

Exits with 0 if none failed, whether or not targets were met; with 77 if all were skipped; with 1
if any failed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import itertools
import json
import os
import platform
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Bench, Failed, Skip

HERE = Path(__file__).resolve().parent
SKIPPED = 77
DEFAULT_RUNS = 5


def known_names() -> list[str]:
    return sorted(found.parent.name for found in HERE.glob("*/bench.py"))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(known_names()))
    parser.add_argument("--smoke", action="store_true", help="a small size, to check that they run")
    parser.add_argument("--runs", type=int, metavar="N", help=f"default: {DEFAULT_RUNS}")
    parser.add_argument("--build", type=Path, metavar="DIR", default=HERE.parent / "build/release")
    parser.add_argument("--results", type=Path, metavar="DIR", help="default: build/bench")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(known_names()))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: there are {', '.join(known_names())}")
    if arguments.runs is not None and arguments.runs < 1:
        parser.error("--runs: at least 1")
    arguments.build = arguments.build.resolve()
    return arguments


def load(name: str) -> Callable[[Bench], None]:
    path = HERE / name / "bench.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    if spec is None or spec.loader is None:
        raise Failed(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up their module in sys.modules.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.run


def first_line(command: list[str]) -> str | None:
    try:
        ran = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip().splitlines()[0] if ran.returncode == 0 and ran.stdout else None


def about_this_run() -> dict[str, Any]:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "cpu": cpu[1] if cpu else platform.machine(),
            "kernel": f"{platform.system()} {platform.release()}",
        },
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "version": first_line(["git", "describe", "--always", "--dirty", "--tags"]),
    }


def shown(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if type(value) is int else "" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}" if value else "0"


def table(rows: list[dict[str, Any]]) -> str:
    """Formats rows with the same figures as a table."""
    heads = ["" if name == "what" else name for name in rows[0]]
    cells = [heads] + [list(map(shown, row.values())) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def target_line(target: dict[str, Any]) -> str:
    sign, bound = ("≥", target["at_least"]) if "at_least" in target else ("≤", target["at_most"])
    unit = f" {target['unit']}" if target["unit"] else ""
    verdict = "met" if target["met"] else "MISSED"
    measured = shown(target["measured"])
    return f"{target['what']}: {measured}{unit}, wanted {sign} {shown(bound)}{unit}: {verdict}"


def report(bench: Bench, results: Path, about: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    size = " (smoke size: the figures mean nothing)" if bench.smoke else ""
    print(f"\n{bench.name}{size}\n")
    for _, group in itertools.groupby(bench.rows, key=tuple):
        print(table(list(group)) + "\n")
    for target in bench.targets:
        print(target_line(target))
    sys.stdout.flush()
    results.mkdir(parents=True, exist_ok=True)
    measured = {"rows": bench.rows, "targets": bench.targets, "samples": bench.samples}
    text = {"name": bench.name, "smoke": bench.smoke, "runs": bench.runs, **about, **measured}
    content = json.dumps(text, indent=2, ensure_ascii=False) + "\n"
    (results / f"{bench.name}.json").write_text(content, encoding="utf-8")


def run_benchmark(name: str, arguments: argparse.Namespace, about: dict[str, Any]) -> str:
    """Returns "ran", "skipped" or "failed"."""
    runs = arguments.runs or (1 if arguments.smoke else DEFAULT_RUNS)
    results = arguments.results or arguments.build.parent / "bench"
    try:
        with Bench(name, arguments.build, runs, arguments.smoke) as bench:
            load(name)(bench)
        report(bench, results, about)
        return "ran"
    except Skip as reason:
        print(f"\n{name}: skipped: {reason}", flush=True)
        return "skipped"
    except Failed as reason:
        print(f"\n{name}: failed: {reason}", flush=True)
    except Exception:
        print(f"\n{name}: failed:\n{traceback.format_exc()}", flush=True)
    return "failed"


def main() -> int:
    arguments = read_arguments()
    # Unwinds the stack on SIGTERM, so that the programs that were started are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    about = about_this_run()
    outcomes = {run_benchmark(name, arguments, about) for name in arguments.names or known_names()}
    if "failed" in outcomes:
        return 1
    return 0 if "ran" in outcomes else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
