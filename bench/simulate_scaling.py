#!/usr/bin/env python3
"""What several machines bring to pre-training: steps as step_schedule records them, on networks that SimGrid simulates.

All nodes are alike, so a step is: each call to the others begins when its bucket is final, the call before it has ended
and the work between them is done, and takes what SimGrid's SMPI says of the same call of MPI among so many nodes.
play_schedule.cpp makes these calls. With --check it plays some steps whole, with waiting in place of computing, and shows
them beside. --measured compares with real steps.

--record runs step_schedule first and keeps what it says in --recorded; without, figures are made from that file. They
go to --json, the picture to --svg, tables for docs/scaling.md to standard output.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

from draw_step_cost import tag, text
from turns import run_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NODES = (2, 4, 8, 16, 32, 64)
NETWORKS = {1: 50e-6, 10: 25e-6, 25: 10e-6}  # Gb/s: seconds from node to node
SPEEDS = (2, 20)  # of a node: as many times what the thread computes that was recorded
# Preset, sequences of 128 tokens a node; those of the recorded step, of which the times before the update grow with the
# number of sequences.
CASES = {("base", 8): 8, ("base", 32): 8, ("base", 128): 8, ("mini", 32): 32}
# Shares of the bandwidth and multiples of the latency. Ours: 1448 of 1538 bytes of an Ethernet frame are data; what is
# larger than 64 KiB is announced, asked for and sent. SimGrid's own were fitted to a cluster with 1 Gb/s.
FACTORS = {"ours": ["--cfg=smpi/bw-factor:0:0.94", "--cfg=smpi/lat-factor:65536:3;0:1"], "SimGrid's": []}
COLORS = {1: "#c7861b", 10: "#2a6fb0", 25: "#3b8a4a"}
WIDTH, HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 400, 300, 58, 44, 52, 16  # of a panel, and its margins


class Network:
    """Calls of play_schedule on simulated nodes that a switch joins, which is never the bottleneck."""

    def __init__(self, gigabits, folder, factors="ours"):
        self.name, self.folder = f"{gigabits} Gb/s", folder
        self.options = [f"--cfg=smpi/{option}" for option in ("coll-selector:ompi", "simulate-computation:no")]
        self.options += ["--log=root.thres:error", *FACTORS[factors]]
        latency = NETWORKS[gigabits] / 2  # of each of the two cables on the way
        with open(f"{folder}/platform.xml", "w", encoding="utf-8") as file:
            file.write('<?xml version="1.0"?><!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">'
                       '<platform version="4.1"><cluster id="c" prefix="node" suffix="" radical="0-63" speed="1Gf" '
                       f'bw="{gigabits}Gbps" lat="{latency}s" sharing_policy="SPLITDUPLEX"/></platform>')
        with open(f"{folder}/hosts", "w", encoding="utf-8") as file:
            file.writelines(f"node{i}\n" for i in range(64))

    def play(self, nodes, calls):
        """When each call ends; (call, bytes, ready, work) of each."""
        print(f"{self.name}, {nodes} nodes: {len(calls)} calls", file=sys.stderr)
        with open(f"{self.folder}/calls", "w", encoding="utf-8") as file:
            for name, sizes, ready, work in calls:
                print(name, f"{ready:.6f} {work:.6f}", *sizes, file=file)
        command = ["smpirun", "-np", str(nodes), "-platform", f"{self.folder}/platform.xml", "-hostfile",
                   f"{self.folder}/hosts", *self.options, f"{self.folder}/play_schedule", f"{self.folder}/calls"]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"smpirun failed: {' '.join(command)}")
        return [float(line) for line in run.stdout.split()]

    def durations(self, nodes, calls):
        """Of each of the calls, from its beginning in all nodes to its end in the last."""
        kinds = sorted({(call["call"], tuple(call["bytes"])) for call in calls})
        ends = self.play(nodes, [(name, sizes, 0, 0) for name, sizes in kinds])
        took = {kind: end - begin for kind, begin, end in zip(kinds, [0, *ends], ends)}
        return [took[call["call"], tuple(call["bytes"])] for call in calls]


def record(programs):
    recorded = {}
    for preset, sequences in sorted({(preset, of) for (preset, _), of in CASES.items()}):
        print(f"recording {preset}, {sequences} × 128", file=sys.stderr)
        recorded[f"{preset} {sequences}"] = run_json([f"{programs}/step_schedule", "--preset", preset, "--sequences",
                                                      str(sequences)])
    return recorded


def timing(steps, more, speed):
    """(ready, work) of each call, from the shortest step that was recorded: of a node so many times as fast with so many
    times as many sequences. The thread that exchanges doesn't become faster."""
    shortest = min(steps, key=lambda step: step["seconds"])
    return [(call["ready"] * more / speed, call["work"] / (speed if call["main"] else 1)) for call in shortest["calls"]]


def alone(calls, times):
    """Seconds of the step of a single node."""
    return max(ready for ready, _ in times) + sum(work for call, (_, work) in zip(calls, times) if call["main"])


def together(times, durations):
    now = 0
    for (ready, work), duration in zip(times, durations):
        now = max(now, ready) + work + duration
    return now


def simulate(recorded, folder):
    rows = []
    for gigabits in NETWORKS:
        network = Network(gigabits, folder)
        took = {}
        for (preset, sequences), of in CASES.items():
            steps = recorded[f"{preset} {of}"]
            for step in steps:
                calls, nodes = step["calls"], step["nodes"]
                if (preset, nodes) not in took:
                    took[preset, nodes] = network.durations(nodes, calls)
                for speed in SPEEDS:
                    times = timing(steps, sequences / of, speed)
                    one, many = alone(calls, times), together(times, took[preset, nodes])
                    rows.append({"preset": preset, "sequences": sequences, "gigabits": gigabits, "speed": speed,
                                 "nodes": nodes, "one_node": one, "step": many, "efficiency": one / many,
                                 "sending": sum(took[preset, nodes])})
    return rows


def check(recorded, folder):
    """base, 32 × 128, 10 Gb/s: composed, played whole, and with SimGrid's own factors."""
    steps, more = recorded["base 8"], 32 / 8
    print("\n| base, 32 × 128, 10 Gb/s | a step of parts | played whole | with SimGrid's own factors |\n|---|---|---|---|")
    for speed in SPEEDS:
        for nodes in (4, 16):
            calls = next(step["calls"] for step in steps if step["nodes"] == nodes)
            times = timing(steps, more, speed)
            network = Network(10, folder)
            parts = together(times, network.durations(nodes, calls))
            whole = network.play(nodes, [(call["call"], call["bytes"], *time) for call, time in zip(calls, times)])[-1]
            other = together(times, Network(10, folder, "SimGrid's").durations(nodes, calls))
            print(f"| {nodes} nodes, speed {speed} | {parts:.3f} s | {whole:.3f} s | {other:.3f} s: "
                  f"efficiency {alone(calls, times) / other:.2f} |", flush=True)


def print_calls(recorded, preset, sequences, nodes):
    """For play_schedule, of nodes as fast as the thread that was recorded."""
    steps = recorded[f"{preset} {sequences}"]
    calls = next(step["calls"] for step in steps if step["nodes"] == nodes)
    for call, (ready, work) in zip(calls, timing(steps, 1, 1)):
        print(call["call"], f"{ready:.6f} {work:.6f}", *call["bytes"])


def compare(measured, recorded, folder):
    """What scripts/measure_machines.sh has measured, medians, beside what is simulated: steps of nodes that are as fast
    alone, and steps that wait in place of computing."""
    keys = ("what", "preset", "sequences", "nodes", "gigabits")
    cases = {}
    for row in measured:
        cases.setdefault(tuple(row[key] for key in keys), []).append(row)
    print("\n| | alone | measured | simulated | apart |\n|---|---|---|---|---|")
    for (what, preset, sequences, nodes, gigabits), rows in cases.items():
        steps = recorded[f"{preset} {sequences}"]
        calls = next(step["calls"] for step in steps if step["nodes"] == nodes)
        many = statistics.median(row["step"] for row in rows)
        one = recorded_one = alone(calls, timing(steps, 1, 1))
        if what == "steps":
            one = statistics.median(row["one_node"] for row in rows)
        durations = Network(gigabits, folder).durations(nodes, calls)
        simulated = together(timing(steps, 1, recorded_one / one), durations)
        print(f"| {what}: {preset}, {sequences} × 128, {nodes} nodes, {gigabits} Gb/s | {one:.3f} s | {many:.3f} s | "
              f"{simulated:.3f} s | {100 * (simulated / many - 1):+.0f} % |", flush=True)


def table(rows):
    for speed in SPEEDS:
        print(f"\n| speed {speed} | one node's step | Gb/s | {' | '.join(f'{nodes} nodes' for nodes in NODES)} |")
        print("|---|---|---|" + "---|" * len(NODES))
        for preset, sequences in CASES:
            for gigabits in NETWORKS:
                of = [row for row in rows if (row["preset"], row["sequences"], row["gigabits"], row["speed"])
                      == (preset, sequences, gigabits, speed)]
                cells = " | ".join(f"{row['efficiency']:.2f}" for row in of)
                print(f"| {preset}, {sequences} × 128 | {of[0]['one_node']:.2f} s | {gigabits} | {cells} |")


def panel(left, top, title, rows):
    def x(nodes):
        return left + LEFT + (math.log2(nodes) - 1) / 5 * (WIDTH - LEFT - RIGHT - 20) + 10

    def y(efficiency):
        return top + HEIGHT - BOTTOM - efficiency * (HEIGHT - TOP - BOTTOM)

    yield text(left + LEFT, top + TOP - 8, title)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        yield tag("path", d=f"M{left + LEFT} {y(tick):.1f}h{WIDTH - LEFT - RIGHT}", stroke="#ddd")
        yield text(left + LEFT - 8, y(tick) + 4, f"{100 * tick:.0f} %", "end")
    for nodes in NODES:
        yield text(x(nodes), top + HEIGHT - BOTTOM + 18, nodes, "middle")
    for row_speed, dashes in zip(SPEEDS, ("none", "5 3")):
        for gigabits, color in COLORS.items():
            of = [row for row in rows if (row["gigabits"], row["speed"]) == (gigabits, row_speed)]
            points = " ".join(f"{x(row['nodes']):.1f},{y(row['efficiency']):.1f}" for row in of)
            yield tag("polyline", points=points, fill="none", stroke=color,
                      **{"stroke-width": 2, "stroke-dasharray": dashes})


def svg(rows):
    body = [tag("rect", width="100%", height="100%", fill="#fff"),
            text(LEFT, 22, "Efficiency: tokens/s of n nodes, of n times those of one; against n. Simulated. "
                 f"Dashed: nodes ten times as fast")]
    for i, (gigabits, color) in enumerate(COLORS.items()):
        body += [tag("rect", x=LEFT + 90 * i, y=32, width=14, height=10, fill=color),
                 text(LEFT + 20 + 90 * i, 41, f"{gigabits} Gb/s")]
    for i, (preset, sequences) in enumerate(CASES):
        body += panel(WIDTH * (i % 2), 10 + (HEIGHT - 20) * (i // 2), f"{preset}, {sequences} × 128 tokens a node",
                      [row for row in rows if (row["preset"], row["sequences"]) == (preset, sequences)])
    return tag("svg", "\n" + "\n".join(body) + "\n", xmlns="http://www.w3.org/2000/svg", width=2 * WIDTH,
               height=2 * HEIGHT - 10, **{"font-family": "sans-serif", "font-size": 12}) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, metavar="DIR", help="where the programs of bench/ are")
    parser.add_argument("--record", action="store_true", help="run step_schedule, some minutes")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--measured", metavar="FILE", help="only compare with what scripts/measure_machines.sh has printed")
    parser.add_argument("--calls", nargs=3, metavar=("PRESET", "SEQUENCES", "NODES"),
                        help="only print the calls of a recorded step, for play_schedule")
    parser.add_argument("--recorded", metavar="FILE", help="default: schedules.json in DIR")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "docs", "scaling.json"))
    parser.add_argument("--svg", metavar="FILE", default=os.path.join(ROOT, "docs", "scaling.svg"))
    options = parser.parse_args()
    options.recorded = options.recorded or os.path.join(options.programs, "schedules.json")
    if options.record:
        recorded = record(options.programs)
        with open(options.recorded, "w", encoding="utf-8") as file:
            json.dump(recorded, file)
    try:
        with open(options.recorded, encoding="utf-8") as file:
            recorded = json.load(file)
    except OSError as error:
        sys.exit(f"{options.recorded}: {error.strerror}; --record makes it")
    if options.calls:
        return print_calls(recorded, options.calls[0], int(options.calls[1]), int(options.calls[2]))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["smpicxx", "-std=c++20", "-O2", os.path.join(ROOT, "bench/play_schedule.cpp"), "-o",
                        f"{folder}/play_schedule"], check=True)
        if options.measured:
            with open(options.measured, encoding="utf-8") as file:
                return compare([json.loads(line) for line in file], recorded, folder)
        rows = simulate(recorded, folder)
        table(rows)
        if options.check:
            check(recorded, folder)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=0)
    with open(options.svg, "w", encoding="utf-8") as file:
        file.write(svg(rows))


if __name__ == "__main__":
    main()
