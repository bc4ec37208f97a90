"""What the benchmarks share: programs that are started and ended, wrk, medians and rows."""

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

# Where Debian keeps programs that are not for everybody's PATH.
FURTHER_FOLDERS = ("/usr/sbin", "/sbin", "/usr/lib/postgresql/*/bin")


class Skip(Exception):
    """Something that the benchmark needs is not on this machine."""


class Failed(Exception):
    """A benchmark could not be run. (A target that is missed is no failure.)"""


@dataclasses.dataclass(frozen=True)
class Wrk:
    """What wrk measured of one run."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int = 0
    errors: int = 0
    cpu_us: float | None = None  # of the server, for each request

    @property
    def figures(self) -> dict[str, float | None]:
        """What a row shows of it."""
        names = ("requests_per_s", "p50_ms", "p99_ms", "cpu_us")
        return {name: getattr(self, name) for name in names}


class Process:
    """A program that runs, with what it has written to its standard output and error."""

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
        """The first whole line of the output that starts so."""
        whole = self.output.split("\n")[:-1]
        return next((line for line in whole if line.startswith(start)), None)

    def memory_kib(self, what: str = "VmRSS") -> int:
        """A figure of /proc/PID/status, such as VmRSS or RssAnon."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{what}:\s+(\d+) kB$", status, re.MULTILINE)
        if not found:
            raise Failed(f"{self.name}: no {what} in its status: has it ended?")
        return int(found[1])

    def cpu_s(self) -> float:
        """The time that it and what it has started were given by processors, as far as they
        live."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # The name, in brackets, may hold anything.
                words = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            group, user, system = int(words[2]), int(words[11]), int(words[12])
            ticks += user + system if group == self.pid else 0
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, within_s: float = 15) -> None:
        """Asks it to end, and ends it with all that it has started if it does not."""
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
    """What a benchmark is given, and where it puts what it has measured."""

    def __init__(self, name: str, build: Path, runs: int, smoke: bool) -> None:
        self.name = name
        self.build = build
        self.runs = runs
        self.smoke = smoke
        self.rows: list[dict[str, Any]] = []
        self.targets: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []  # all runs of what the rows have medians of
        self._folders: list[Path] = []
        self._processes: list[Process] = []

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.stop()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    # What there is on this machine

    def program(self, name: str) -> Path:
        """A program of this build: one of bench/, or the server."""
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
        """A new folder, which goes with the benchmark."""
        made = Path(tempfile.mkdtemp(prefix="roundhouse-bench-"))
        self._folders.append(made)
        return made

    def free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    # What is run

    def start(
        self,
        argv: Sequence[str | Path],
        ready: str | Callable[[], bool],
        env: Mapping[str, str] | None = None,
        within_s: float = 120,
    ) -> Process:
        """Starts a program; returns once it has written a line that starts with `ready`, or once
        `ready()` is true. It is ended with the benchmark."""
        process = Process([str(word) for word in argv], self.folder() / "output", env)
        self._processes.append(process)
        is_ready = ready if callable(ready) else lambda: process.line(ready) is not None
        until = time.monotonic() + within_s
        while not is_ready():
            if not process.running or time.monotonic() > until:
                why = "is not ready" if process.running else "has ended"
                raise Failed(f"{process.name} {why}. It wrote:\n{process.output}")
            time.sleep(0.01)
        return process

    def stop(self, process: Process) -> None:
        """Ends a program before the benchmark does."""
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
        """Asks a server about users at random, whose names take the place of the * in `path`, and
        tells its processor time if it is given. Fails if a single response was not 2xx or did not
        come: a benchmark that measures errors is none."""
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
        self, runs: int, sides: Mapping[str, Callable[[], T]], what: str = ""
    ) -> dict[str, list[T]]:
        """Runs the sides one after the other, `runs` times, so that what changes on the machine
        changes for all of them."""
        results: dict[str, list[T]] = {label: [] for label in sides}
        for run in range(runs):
            for label, side in sides.items():
                self.tell(f"{what} {label}, run {run + 1} of {runs}".strip())
                results[label].append(side())
        self.samples.append({"what": what, "results": plain(results)})
        return results

    # What comes of it

    def row(self, what: str, **figures: Any) -> None:
        self.rows.append({"what": what, **figures})

    def target(
        self,
        what: str,
        measured: float,
        at_least: float | None = None,
        at_most: float | None = None,
        unit: str = "",
    ) -> None:
        if (at_least is None) == (at_most is None):
            raise ValueError(f"{what}: a target has a least or a most")
        met = measured >= at_least if at_least is not None else measured <= at_most
        bound = {"at_least": at_least} if at_least is not None else {"at_most": at_most}
        self.targets.append({"what": what, "measured": measured, **bound, "unit": unit, "met": met})

    def tell(self, text: str) -> None:
        """Tells somebody who watches what is being done."""
        if sys.stderr.isatty():
            print(f"\r\033[K{self.name}: {text}", end="", file=sys.stderr, flush=True)


def plain(value: Any) -> Any:
    """What JSON can hold, of what a side has returned."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value


def read_wrk(text: str) -> Wrk:
    """Reads what `wrk --latency` prints."""

    def number(pattern: str) -> re.Match[str]:
        found = re.search(pattern, text, re.MULTILINE)
        if not found:
            raise Failed(f"wrk printed something else than it used to:\n{text}")
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
    """The median of each figure by itself."""
    times = [one.cpu_us for one in results if one.cpu_us is not None]
    return Wrk(
        requests_per_s=median(one.requests_per_s for one in results),
        p50_ms=median(one.p50_ms for one in results),
        p99_ms=median(one.p99_ms for one in results),
        cpu_us=median(times) if times else None,
    )


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of runs that went next to each other."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))
