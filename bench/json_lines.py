"""Runs programs that print each measurement as a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from harness import Bench, Failed


def measured_by(
    bench: Bench, program: Path, *arguments: object, within_s: float = 600
) -> list[dict[str, Any]]:
    """Runs a program and returns its measurements. Its temporary folder is removed at the end of
    the benchmark."""
    command = [str(program), *map(str, arguments)]
    bench.show_progress(" ".join([program.name, *command[1:]]))
    folder = bench.folder()
    folder.chmod(0o755)  # engines run as users of their own
    environment = {**os.environ, "TMPDIR": str(folder)}
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=within_s, env=environment
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{program.name} takes longer than {within_s:g} s") from late
    if ran.returncode != 0:
        raise Failed(f"{program.name} ended with {ran.returncode}: {ran.stderr}")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    bench.samples.append({"what": " ".join([program.name, *command[1:]]), "results": lines})
    return lines
