"""The Python interpreter of a peer."""

from __future__ import annotations

import subprocess
import sys

from harness import Skip


def python_with(modules: str, packages: str) -> str:
    """An interpreter that has these modules: the current one, or the system's, which the packages
    are for."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            ran = subprocess.run([python, "-c", f"import {modules}"], capture_output=True)
        except FileNotFoundError:
            continue
        if ran.returncode == 0:
            return python
    raise Skip(f"no {modules}: install {packages}")
