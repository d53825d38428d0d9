"""Programs that are timed in turn, so that all meet the same machine.

In each round each program runs steps (training steps, or whatever it repeats) for a second, at least one; the round's
figure is their median. Then the machine itself is measured. Ratios are taken within a round first.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys

PRESETS = ("tiny", "mini", "small", "medium", "base")
SECONDS_PER_TURN = 1.0
# Everything that has a switch, held to AVX2. MKL heeds its own on Intel's CPUs; on others it has no AVX-512.
# ONNX Runtime has none and uses what the CPU has.
AVX2 = {"BERTIE_ISA": "avx2", "OPENBLAS_CORETYPE": "Haswell", "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


class Server:
    """A program that runs one step for each line "go"."""

    def __init__(self, name, command):
        self.name = name
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            sys.exit(f"can't start {command[0]}: {error.strerror}")

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended early, status {self.process.wait()}")
        return json.loads(line)

    def wait_until_ready(self):
        if self.answer() != {"ready": True}:
            sys.exit(f"{self.name} should have said that it is ready")

    def turn(self):
        """Seconds of a step: the median of about a second of them."""
        steps = []
        while not steps or sum(steps) < SECONDS_PER_TURN:
            try:
                self.process.stdin.write("go\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                pass  # answer() tells
            steps.append(self.answer()["seconds"])
        return statistics.median(steps)

    def finish(self):
        self.process.stdin.close()
        summary = self.answer()
        self.process.wait()
        return summary

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Spread:
    def __init__(self, values):
        self.median, self.smallest, self.largest = statistics.median(values), min(values), max(values)

    def text(self, digits, scale=1):
        low, middle, high = (f"{scale * value:.{digits}f}" for value in (self.smallest, self.median, self.largest))
        return f"{middle} ({low} … {high})"

    def json(self):
        return vars(self)


def ratios(above, below):
    return Spread([a / b for a, b in zip(above, below)])


def take_turns(title, commands, rounds, measure_machine):
    """Runs the commands, a dict by name. Returns, by name, seconds per round and summaries; and what
    measure_machine() said after each round."""
    servers = {}
    try:
        for name, command in commands.items():  # one at a time, so that none is slowed
            print(f"{title}: starting {name}", file=sys.stderr)
            servers[name] = Server(name, command)
            servers[name].wait_until_ready()
        seconds = {name: [] for name in servers}
        machine = []
        order = list(servers)
        for round_ in range(rounds):
            print(f"{title}: round {round_ + 1} of {rounds}", file=sys.stderr)
            for name in order:
                seconds[name].append(servers[name].turn())
            order.append(order.pop(0))  # another one begins
            machine.append(measure_machine())
        return seconds, {name: server.finish() for name, server in servers.items()}, machine
    finally:
        for server in servers.values():
            server.stop()


def run_json(command):
    """What the command prints, as JSON."""
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE)
    except OSError as error:
        sys.exit(f"can't start {command[0]}: {error.strerror}")
    if run.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return json.loads(run.stdout)


def case_name(case):
    preset, shape = case
    return f"{preset}, ragged" if shape is None else f"{preset}, {shape[0]} × {shape[1]}"


def step_options(case, threads, precision="f32", optimizer="adamw"):
    """Those of train_step and of peer_train_step.py."""
    preset, shape = case
    batch = ["--ragged"] if shape is None else ["--sequences", str(shape[0]), "--length", str(shape[1])]
    return ["--preset", preset, *batch, "--threads", str(threads), "--precision", precision, "--optimizer", optimizer,
            "--serve"]


def parse_case(text):
    match = re.fullmatch(r"(\w+):(?:ragged|([1-9]\d*)x([1-9]\d*))", text)
    if not match or match[1] not in PRESETS:
        raise argparse.ArgumentTypeError(f"expected PRESET:NxS or PRESET:ragged, got {text!r}")
    return match[1], (int(match[2]), int(match[3])) if match[2] else None


def add_options(parser, programs=None):
    """Those of every script that runs programs of bench/."""
    parser.add_argument("--programs", required=not programs, default=programs, metavar="DIR",
                        help="where the programs of bench/ are")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isa", choices=["avx2"],
                        help="hold all programs and libraries to AVX2, by setting "
                        + ", ".join(f"{name}={value}" for name, value in AVX2.items()))


def add_case_options(parser, defaults):
    parser.add_argument("cases", nargs="*", type=parse_case, metavar="CASE", default=[parse_case(c) for c in defaults],
                        help="PRESET:NxS, N sequences of S tokens, or PRESET:ragged, 32 sequences of 9 to 100 "
                        f"tokens (default: {' '.join(defaults)})")
    add_run_options(parser)


def add_run_options(parser):
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")


def parse(parser):
    options = parser.parse_args()
    for name in ("rounds", "threads", "lines", "batch"):
        if getattr(options, name, 1) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.isa:
        os.environ.update(AVX2)  # those of all programs that are started
    return options


def print_results(options, figures_of, show):
    """figures_of(case) of each case: as JSON at the end, or each at once by show(figures)."""
    results = []
    for case in options.cases:
        results.append(figures_of(case))
        if not options.json:
            show(results[-1])
    if options.json:
        print(json.dumps(results, default=Spread.json, indent=2, ensure_ascii=False))
