"""What the benchmarks share: starting and stopping programs, wrk, medians and result rows."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

HERE = Path(__file__).resolve().parent

# Where Debian installs programs outside the usual PATH.
FURTHER_FOLDERS = ("/usr/sbin", "/sbin", "/usr/lib/postgresql/*/bin")


class Skip(Exception):
    """Something that the benchmark needs is missing on this machine."""


class Failed(Exception):
    """The benchmark could not be run. (A missed target is not a failure.)"""


@dataclasses.dataclass(frozen=True)
class Wrk:
    """The measurements of one run of wrk."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int = 0
    errors: int = 0
    cpu_us: float | None = None  # of the server, per request

    @property
    def figures(self) -> dict[str, float | None]:
        """The figures that a row shows."""
        names = ("requests_per_s", "p50_ms", "p99_ms", "cpu_us")
        return {name: getattr(self, name) for name in names}


class Process:
    """A running program, and its standard output and error."""

    def __init__(self, argv: Sequence[str], output: Path, env: Mapping[str, str] | None) -> None:
        self.name = Path(argv[0]).name
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def line(self, start: str) -> str | None:
        """The first complete line of the output that begins with `start`."""
        whole = self.output.split("\n")[:-1]
        return next((line for line in whole if line.startswith(start)), None)

    def memory_kib(self, field: str = "VmRSS") -> int:
        """A figure of /proc/PID/status, such as VmRSS or RssAnon."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        if not found:
            raise Failed(f"{self.name}: no {field} in its status: has it ended?")
        return int(found[1])

    def cpu_s(self) -> float:
        """The processor time of all live processes in the program's group."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # The name, in parentheses, may contain anything.
                words = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended in the meantime
            group, user, system = int(words[2]), int(words[11]), int(words[12])
            ticks += user + system if group == self.pid else 0
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, within_s: float = 15) -> None:
        """Sends SIGTERM, waits, and kills what is left of the process group."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(within_s)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing of it is left
        self._process.wait()


class Bench:
    """The tools and the results of one benchmark."""

    def __init__(self, name: str, build: Path, runs: int, smoke: bool) -> None:
        self.name = name
        self.build = build
        self.runs = runs
        self.smoke = smoke
        self.rows: list[dict[str, Any]] = []
        self.targets: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []  # every run behind the medians of the rows
        self._folders: list[Path] = []
        self._processes: list[Process] = []

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.stop()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    # Programs, folders and ports

    def program(self, name: str) -> Path:
        """The path of a program of this build: one of bench/, or the server."""
        folder = "reference-server" if name == "roundhouse-server" else "bench"
        found = self.build / folder / name
        if not found.is_file():
            raise Skip(f"{name} is not built (no {found})")
        return found

    def tool(self, name: str, package: str) -> str:
        folders = [found for pattern in FURTHER_FOLDERS for found in glob.glob(pattern)]
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
        found = shutil.which(name, path=path)
        if not found:
            raise Skip(f"no {name}: install {package}")
        return found

    def folder(self) -> Path:
        """Makes a folder, which is removed at the end of the benchmark."""
        made = Path(tempfile.mkdtemp(prefix="roundhouse-bench-"))
        self._folders.append(made)
        return made

    def free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    # Running programs

    def start(
        self,
        argv: Sequence[str | Path],
        ready: str | Callable[[], bool],
        env: Mapping[str, str] | None = None,
        within_s: float = 120,
    ) -> Process:
        """Starts a program and waits until it has written a line that begins with `ready`, or
        until `ready()` is true. The program is stopped at the end of the benchmark."""
        process = Process([str(word) for word in argv], self.folder() / "output", env)
        self._processes.append(process)
        is_ready = ready if callable(ready) else lambda: process.line(ready) is not None
        until = time.monotonic() + within_s
        while not is_ready():
            if not process.running or time.monotonic() > until:
                state = "is not ready" if process.running else "has ended"
                raise Failed(f"{process.name} {state}. It wrote:\n{process.output}")
            time.sleep(0.01)
        return process

    def stop(self, process: Process) -> None:
        """Stops a program before the end of the benchmark."""
        process.stop()
        self._processes.remove(process)

    def wrk(
        self,
        url: str,
        users: int,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: str = "",
        connections: int = 64,
        threads: int = 2,
        seconds: float = 4,
        server: Process | None = None,
    ) -> Wrk:
        """Sends requests for random users, whose names replace the * in `path`, and measures the
        processor time of `server` if given. Fails if any response was not 2xx or did not arrive."""
        # wrk takes whole seconds only.
        command = [self.tool("wrk", "wrk"), f"-t{threads}", f"-c{connections}"]
        command += [f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "30s"]
        command += ["-s", str(HERE / "random_users.lua"), url, "--", str(users), method, path, body]
        command += [word for header in headers.items() for word in header]
        cpu_before = server.cpu_s() if server else 0
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        cpu = server.cpu_s() - cpu_before if server else None
        if ran.returncode != 0:
            raise Failed(f"wrk: {ran.stdout}{ran.stderr}")
        measured = read_wrk(ran.stdout)
        if measured.errors > 0:
            raise Failed(f"{url}: {measured.errors} requests failed:\n{ran.stdout}{ran.stderr}")
        if cpu is None:
            return measured
        return dataclasses.replace(measured, cpu_us=cpu * 1e6 / measured.requests)

    def in_turn(
        self, runs: int, sides: Mapping[str, Callable[[], T]], label: str = ""
    ) -> dict[str, list[T]]:
        """Runs the sides in turn, `runs` times, so that changes on the machine affect all of
        them."""
        results: dict[str, list[T]] = {name: [] for name in sides}
        for run in range(runs):
            for name, side in sides.items():
                self.show_progress(f"{label} {name}, run {run + 1} of {runs}".strip())
                results[name].append(side())
        self.samples.append({"what": label, "results": plain(results)})
        return results

    # Results

    def row(self, label: str, **figures: Any) -> None:
        self.rows.append({"what": label, **figures})

    def target(
        self,
        label: str,
        measured: float,
        at_least: float | None = None,
        at_most: float | None = None,
        unit: str = "",
    ) -> None:
        if (at_least is None) == (at_most is None):
            raise ValueError(f"{label}: give either at_least or at_most")
        met = measured >= at_least if at_least is not None else measured <= at_most
        bound = {"at_least": at_least} if at_least is not None else {"at_most": at_most}
        result = {"what": label, "measured": measured, **bound, "unit": unit, "met": met}
        self.targets.append(result)

    def show_progress(self, text: str) -> None:
        """Shows on a terminal what is being measured."""
        if sys.stderr.isatty():
            print(f"\r\033[K{self.name}: {text}", end="", file=sys.stderr, flush=True)


def plain(value: Any) -> Any:
    """Converts what a side has returned to values that JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value


def read_wrk(text: str) -> Wrk:
    """Parses the output of `wrk --latency`."""

    def number(pattern: str) -> re.Match[str]:
        found = re.search(pattern, text, re.MULTILINE)
        if not found:
            raise Failed(f"the output of wrk has an unknown format:\n{text}")
        return found

    def percentile_ms(percent: int) -> float:
        found = number(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$")
        in_ms = {"us": 0.001, "ms": 1, "s": 1_000, "m": 60_000}
        return round(float(found[1]) * in_ms[found[2]], 6)

    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: (.*)", text)
    counts = [*re.findall(r"\d+", broken[1] if broken else ""), refused[1] if refused else "0"]
    return Wrk(
        requests_per_s=float(number(r"^Requests/sec:\s+([\d.]+)\s*$")[1]),
        p50_ms=percentile_ms(50),
        p99_ms=percentile_ms(99),
        requests=int(number(r"^\s+(\d+) requests in ")[1]),
        errors=sum(map(int, counts)),
    )


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def median_wrk(results: Sequence[Wrk]) -> Wrk:
    """The median of each figure separately."""
    times = [run.cpu_us for run in results if run.cpu_us is not None]
    return Wrk(
        requests_per_s=median(run.requests_per_s for run in results),
        p50_ms=median(run.p50_ms for run in results),
        p99_ms=median(run.p99_ms for run in results),
        cpu_us=median(times) if times else None,
    )


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of corresponding runs."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))
