"""Runs in a process of their own, twice: the first run fills the caches on disk."""

import json
import subprocess
import sys

LIMIT = 300


def measured(module, side, case):
    """Return the lines that the second of two runs has printed; those of the first if it was stopped."""
    command = [sys.executable, "-W", "ignore", "-m", module, side, json.dumps(case)]
    said = {}
    for _ in range(2):
        try:
            output = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True).stdout
        except subprocess.TimeoutExpired as stopped:
            return _read((stopped.stdout or b"").decode())
        said = _read(output)
    return said


def _read(output):
    said = {}
    for line in output.splitlines():
        if line.startswith("{"):
            said |= json.loads(line)
    return said
