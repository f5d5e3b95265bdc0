"""The process in which one piece is measured: `worker FUNCTION ARGUMENTS RESULT STARTED`. Imports nothing heavy."""

import json
import re
import sys
from pathlib import Path

from oms_pipeline_tests.bench import pieces


def peak_mb() -> float:
    """Most memory this process has held, in megabytes.

    `getrusage` would count from before the process became this program, when it was still a copy of its parent.
    """
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert kilobytes is not None
    return int(kilobytes[1]) * 1024 / 1e6


if __name__ == "__main__":
    function, arguments, result, started = sys.argv[1:]
    pieces.process_started = float(started)
    facts = getattr(pieces, function)(**json.loads(arguments))
    Path(result).write_text(json.dumps({**facts, "peak_mb": peak_mb()}))
