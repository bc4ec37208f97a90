"""The Python that a peer runs on."""

from __future__ import annotations

import subprocess
import sys

from harness import Skip


def python_with(modules: str, packages: str) -> str:
    """One that has these modules: this one, or the system's, for which its packages are."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            ran = subprocess.run([python, "-c", f"import {modules}"], capture_output=True)
        except FileNotFoundError:
            continue
        if ran.returncode == 0:
            return python
    raise Skip(f"no {modules}: install {packages}")
