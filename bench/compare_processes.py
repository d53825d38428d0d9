#!/usr/bin/env python3
"""What it costs that one machine's threads belong to several processes, and that one process computes logical parts.

In each round train_step runs once in each way, ten steps of which five count: two processes of one thread that share 16
sequences of 128 tokens, base; one process of two threads with 8 of them, and with all 16. Then, in seven rounds, base
and mini compute 32 sequences in one part and in four, in turn. Needs a machine with two cores and nothing else to do.
Printed are tokens per second, medians over the rounds with the smallest and largest, and ratios, taken within a round.
"""

import argparse
import os

from turns import Spread, ratios, run_json, take_turns

STEPS = {  # options of train_step; two processes where there is one thread
    "base, 2 processes of 1 thread, 16 × 128": "--preset base --sequences 16 --parts 2 --threads 1",
    "base, 2 threads, 8 × 128": "--preset base --sequences 8 --threads 2",
    "base, 2 threads, 16 × 128": "--preset base --sequences 16 --threads 2",
}
COMPARED = (("base, 2 processes of 1 thread, 16 × 128", "base, 2 threads, 8 × 128"),
            ("base, 2 processes of 1 thread, 16 × 128", "base, 2 threads, 16 × 128"))
PART_ROUNDS = 7


def tokens_per_second(programs, options):
    step = [os.path.join(programs, "train_step"), "--json", *options.split()]
    launcher = ["mpirun", "-n", "2", "--bind-to", "core"] if options.endswith("--threads 1") else []
    return run_json(launcher + step)["tokens_per_second"]


def show_parts(programs, preset):
    step = [os.path.join(programs, "train_step"), "--serve", "--preset", preset, "--sequences", "32", "--threads", "2"]
    commands = {parts: [*step, "--parts", str(parts)] for parts in (1, 4)}
    seconds, _, _ = take_turns(f"{preset}, 32 × 128", commands, PART_ROUNDS, lambda: None)
    print(f"{preset}, 2 threads, 32 × 128, 4 parts / 1 part: {ratios(seconds[1], seconds[4]).text(3)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, metavar="DIR", help="where the programs of bench/ are")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    speeds = {name: [] for name in STEPS}
    for _ in range(options.rounds):
        for name, step in STEPS.items():
            speeds[name].append(tokens_per_second(options.programs, step))
    for name, values in speeds.items():
        print(f"{name:<42} {Spread(values).text(0)} tokens/s")
    for above, below in COMPARED:
        print(f"{above} / {below}: {ratios(speeds[above], speeds[below]).text(3)}")
    for preset in ("base", "mini"):
        show_parts(options.programs, preset)


if __name__ == "__main__":
    main()
