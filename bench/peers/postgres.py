"""A private PostgreSQL server with the default, durable configuration of its package."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from harness import Bench, Failed, Skip


def unprivileged(bench: Bench) -> tuple[list[str], pwd.struct_passwd]:
    """The command prefix and the user to run PostgreSQL as, since it refuses to run as root."""
    if os.geteuid() != 0:
        return [], pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        setpriv = [bench.tool("setpriv", "util-linux"), f"--reuid={user.pw_uid}"]
        setpriv += [f"--regid={user.pw_gid}", "--clear-groups"]
        # The user needs access to the working directory.
        return ["env", "--chdir=/", *setpriv], user
    raise Skip("no user but root to run PostgreSQL as")


class Postgres:
    """An empty database, reached over a Unix socket."""

    def __init__(self, bench: Bench) -> None:
        initdb, postgres = (bench.tool(name, "postgresql") for name in ("initdb", "postgres"))
        as_user, user = unprivileged(bench)
        home = bench.folder()
        home.chmod(0o711)
        folder = home / "postgres"
        folder.mkdir(mode=0o700)
        os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"
        make = [*as_user, initdb, "-D", data, "-U", "bench", "--auth=trust", "--locale=C"]
        made = subprocess.run([*make, "--encoding=UTF8"], capture_output=True, text=True)
        if made.returncode != 0:
            raise Failed(f"initdb: {made.stdout}{made.stderr}")
        settings = {"listen_addresses": "", "unix_socket_directories": folder}
        flags = [f"--{name}={value}" for name, value in settings.items()]
        self._process = bench.start(
            [*as_user, postgres, "-D", data, *flags, "--log_line_prefix="],
            "LOG:  database system is ready to accept connections",
        )
        self.url = f"postgresql://bench@/postgres?host={folder}"

    def cpu_s(self) -> float:
        """The processor time of all its live processes. Each has its own process group."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                number, _, rest = stat.read_text().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended in the meantime
            words = rest.split()
            if self._process.pid in (int(number.split()[0]), int(words[1])):
                ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")
