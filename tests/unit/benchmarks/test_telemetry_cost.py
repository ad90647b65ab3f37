"""The measurement runs, briefly, as it would for a report.

In a process of its own, because it chooses how metrics keep their values.
"""

import re
import subprocess
import sys


def test_it_prints_a_figure_for_each_way_of_telling() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.telemetry_cost", "--runs", "10"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    names = [line[:28].strip() for line in done.stdout.splitlines()[1:] if re.fullmatch(r".{28} +\d+\.\d\d", line)]
    assert names == ["nothing", "metrics", "a decision, json line", "a decision, console line", "a decision, no line"]
