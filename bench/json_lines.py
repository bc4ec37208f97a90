"""Programs that print what they have measured as a line of JSON each."""

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
    """Runs a program to its end. What it leaves in its temporary folder goes with the benchmark."""
    command = [str(program), *map(str, arguments)]
    bench.tell(" ".join([program.name, *command[1:]]))
    environment = {**os.environ, "TMPDIR": str(bench.folder())}
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
