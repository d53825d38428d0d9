#!/usr/bin/env python3
"""TensorBoard's own reader on the event files that bertie writes.

    python=$(scripts/python_env.sh)
    $python tests/apps/check_events.py build/release/tests/test_apps           compares, fails where it differs
    $python tests/apps/check_events.py build/release/tests/test_apps --write   also makes the reference
    $python tests/apps/check_events.py --metrics metrics.jsonl tensorboard     of a run: all its scalars

The reference, tests/apps/reference/events.bin, is what tensorboard_test.cpp compares with, so that the tests need no
TensorBoard.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, SCALARS

# As write_run() of tensorboard_test.cpp gives them. Step 3 of the first file is what the second one replaces.
expected = {
    "held_out/loss": [(1700000001.0, 0, 9.5)],
    "held_out/scored": [(1700000001.0, 0, 5000.0)],
    "training/loss": [(1700000002.0, 1, 8.0), (1700000003.0, 2, 7.0), (1700000103.0, 3, 0.375), (1700000400.0, 300, 37.5)],
}


def read(folder):
    """The scalars that TensorBoard finds in a folder: {tag: [(wall time, step, value), …]}."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    assert set(kind for kind, tags in events.Tags().items() if tags) <= {"scalars"}, events.Tags()
    return {tag: [(e.wall_time, e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def scalars(tag, value):
    if isinstance(value, dict):
        for key, below in value.items():
            yield from scalars(f"{tag}/{key}" if tag else key, below)
    elif isinstance(value, (int, float)):
        yield tag, value


def check_run(metrics, folder):
    """Every number of metrics.jsonl is a scalar, rounded to f32, and nothing else is."""
    wanted = {}
    for line in open(metrics):
        record = json.loads(line)
        prefix = "training" if record.pop("kind") == "training" else ""
        step = record.pop("step")
        for tag, value in scalars(prefix, record):
            wanted.setdefault(tag, []).append((step, float(numpy.float32(value))))
    found = {tag: [(step, value) for _, step, value in values] for tag, values in read(folder).items()}
    assert found == wanted, [tag for tag in found.keys() | wanted.keys() if found.get(tag) != wanted.get(tag)]
    print(f"TensorBoard reads the {sum(map(len, wanted.values()))} scalars of {len(wanted)} names as they are in {metrics}")


if sys.argv[1] == "--metrics":
    check_run(*sys.argv[2:])
    sys.exit()
with tempfile.TemporaryDirectory() as folder:
    environment = dict(os.environ, BERTIE_EVENTS=folder)
    subprocess.run([sys.argv[1], "--gtest_filter=EventFile.IsAsTensorBoardReadIt"], env=environment, stdout=subprocess.DEVNULL)
    found = read(folder)
    assert found == expected, found
    print("TensorBoard reads what was written")
    if "--write" in sys.argv:
        reference = pathlib.Path(__file__).parent / "reference" / "events.bin"
        reference.write_bytes(b"".join(file.read_bytes() for file in sorted(pathlib.Path(folder).iterdir())))
