#!/usr/bin/env python3
"""Times training steps of bertie and of PyTorch in turn, so that both meet the same machine.

In each round each program runs steps for a second (at least one); the round's figure is their median. Between the
rounds the machine's own sgemm rate and memory bandwidth are measured. Printed are medians over the rounds with
their smallest and largest; a ratio is taken within each round first. "whole head" is transformers as it is, which
computes the scores of all positions; "scored rows" gives PyTorch the same saving that bertie has.

A case is PRESET:NxS, N sequences of S tokens, or PRESET:ragged, 32 sequences of 9 to 100 tokens.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys

BERTIE, WHOLE, SCORED = "bertie", "PyTorch, whole head", "PyTorch, scored rows"
PRESETS = ("tiny", "mini", "small", "medium", "base")
SECONDS_PER_TURN = 1.0


class Server:
    """A program that runs one step for each line "go"."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare_train_step: {self.name} ended early, status {self.process.wait()}")
        return json.loads(line)

    def wait_until_ready(self):
        if self.answer() != {"ready": True}:
            sys.exit(f"compare_train_step: {self.name} should have said that it is ready")

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

    def text(self, digits):
        return f"{self.median:.{digits}f} ({self.smallest:.{digits}f} … {self.largest:.{digits}f})"

    def json(self):
        return vars(self)


def commands(options, case):
    preset, shape = case
    arguments = ["--preset", preset, "--threads", str(options.threads), "--serve"]
    arguments += ["--ragged"] if shape is None else ["--sequences", str(shape[0]), "--length", str(shape[1])]
    peer = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_train_step.py")]
    return {
        BERTIE: [os.path.join(options.programs, "train_step"), *arguments],
        WHOLE: [*peer, *arguments],
        SCORED: [*peer, *arguments, "--masked-rows-only"],
    }


def machine_rates(options):
    program = os.path.join(options.programs, "machine_rates")
    run = subprocess.run([program, "--json", "--threads", str(options.threads)], stdout=subprocess.PIPE)
    if run.returncode != 0:
        sys.exit(f"compare_train_step: {program} failed")
    return json.loads(run.stdout)


def compare(options, case):
    servers = {}
    try:
        for name, command in commands(options, case).items():  # one at a time, so that none is slowed
            servers[name] = Server(name, command)
            servers[name].wait_until_ready()
        seconds = {name: [] for name in servers}
        rates = []
        order = list(servers)
        for round_ in range(options.rounds):
            print(f"{case_name(case)}: round {round_ + 1} of {options.rounds}", file=sys.stderr)
            for name in order:
                seconds[name].append(servers[name].turn())
            order.append(order.pop(0))  # another one begins
            rates.append(machine_rates(options))
        summaries = {name: server.finish() for name, server in servers.items()}
    finally:
        for server in servers.values():
            server.stop()
    return figures(case, seconds, summaries, rates)


def figures(case, seconds, summaries, rates):
    ours = summaries[BERTIE]
    tokens = ours["tokens_per_second"] * ours["seconds_per_step"]
    gflop = ours["gflops"] * ours["seconds_per_step"]
    achieved = [gflop / s for s in seconds[BERTIE]]
    sgemm = [rate["sgemm_gflops"] for rate in rates]
    return {
        "case": case_name(case),
        "tokens": round(tokens),
        "programs": {name: {
            "seconds_per_step": Spread(seconds[name]),
            "tokens_per_second": tokens / statistics.median(seconds[name]),
            "time_over_bertie": Spread([a / b for a, b in zip(seconds[name], seconds[BERTIE])]),
            "peak_rss_bytes": summaries[name]["peak_rss_bytes"],
        } for name in seconds},
        "gflops": Spread(achieved),
        "sgemm_gflops": Spread(sgemm),
        "share_of_sgemm": Spread([a / b for a, b in zip(achieved, sgemm)]),
        "bandwidth_gbs": Spread([rate["bandwidth_gbs"] for rate in rates]),
        "minor_faults_per_step": ours["minor_faults_per_step"],
        "isa": ours["isa"],
        "gemm_backend": ours["gemm_backend"],
    }


def show(options, result):
    print(f"{result['case']}: {result['tokens']:,} tokens, {options.threads} threads, {options.rounds} rounds, "
          f"{result['isa']}, products by {result['gemm_backend']}")
    print(f"{'':22}{'ms per step':30}{'tokens/s':>9}{'peak GiB':>10}  time over bertie's")
    for name, program in result["programs"].items():
        milliseconds = Spread([1e3 * value for value in vars(program["seconds_per_step"]).values()])
        print(f"{name:22}{milliseconds.text(1):30}{program['tokens_per_second']:9.0f}"
              f"{program['peak_rss_bytes'] / 2**30:10.3f}  {program['time_over_bertie'].text(2)}")
    print(f"bertie's step: {result['gflops'].text(1)} GFLOP/s, {result['share_of_sgemm'].text(2)} of sgemm, "
          f"{result['minor_faults_per_step']:.1f} minor faults")
    print(f"the machine:   sgemm {result['sgemm_gflops'].text(1)} GFLOP/s, bandwidth {result['bandwidth_gbs'].text(1)} "
          "GB/s\n", flush=True)


def case_name(case):
    preset, shape = case
    return f"{preset}, ragged" if shape is None else f"{preset}, {shape[0]} × {shape[1]}"


def parse_case(text):
    match = re.fullmatch(r"(\w+):(?:ragged|([1-9]\d*)x([1-9]\d*))", text)
    if not match or match[1] not in PRESETS:
        raise argparse.ArgumentTypeError(f"expected PRESET:NxS or PRESET:ragged, got {text!r}")
    return match[1], (int(match[2]), int(match[3])) if match[2] else None


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", type=parse_case, metavar="CASE",
                        help="default: base:8x128 and tiny:8x32")
    parser.add_argument("--programs", required=True, metavar="DIR", help="where train_step and machine_rates are")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    options = parser.parse_args()
    for name in ("rounds", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    return options


def main():
    options = parse_options()
    cases = options.cases or [("base", (8, 128)), ("tiny", (8, 32))]
    results = []
    for case in cases:
        results.append(compare(options, case))
        if not options.json:
            show(options, results[-1])
    if options.json:
        print(json.dumps(results, default=Spread.json, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
