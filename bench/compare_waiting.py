#!/usr/bin/env python3
"""What it costs that waiting threads rest (rest_waiting_threads() of autograd/threads.h), on a machine with nothing else
to do and on one where other programs want the processors.

In each round train_step runs for a second with each of the settings: threads that sleep at once, those that spin as the
programs have it and ten times as long, and libgomp's own. First on the machine as it is, then beside --busy processes
that compute without end. Printed are medians over the rounds with their smallest and largest.
"""

import argparse
import os
import subprocess
import sys

from turns import Spread, add_case_options, add_options, case_name, parse, print_results, step_options, take_turns

SETTINGS = {"sleeping at once": "GOMP_SPINCOUNT=0", "as the programs have it": None, "spinning for 20,000": "GOMP_SPINCOUNT=20000",
            "libgomp's own": "GOMP_SPINCOUNT=300000"}


def command(options, case, setting):
    step = [os.path.join(options.programs, "train_step"), *step_options(case, options.threads)]
    return ["env", "-u", "OMP_WAIT_POLICY", "-u", "GOMP_SPINCOUNT", *([setting] if setting else []), *step]


def compare(options, case):
    commands = {name: command(options, case, setting) for name, setting in SETTINGS.items()}
    results = {"case": case_name(case), "rounds": options.rounds, "threads": options.threads, "busy": options.busy}
    for load in (0, options.busy):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
        try:
            seconds, _, _ = take_turns(f"{case_name(case)}, {load} busy", commands, options.rounds, lambda: None)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        results["loaded" if load else "idle"] = {name: Spread(values) for name, values in seconds.items()}
    return results


def show(result):
    print(f"{result['case']}: {result['rounds']} rounds, {result['threads']} threads; ms per step")
    print(f"{'':<26} {'alone':<28} beside {result['busy']} busy processes")
    for name in SETTINGS:
        print(f"{name:<26} {result['idle'][name].text(1, 1e3):<28} {result['loaded'][name].text(1, 1e3)}")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_case_options(parser, ["tiny:32x32", "mini:32x128"])
    add_options(parser)
    parser.add_argument("--busy", type=int, default=2, help="processes that compute beside (default: 2)")
    options = parse(parser)
    if options.busy < 1:
        parser.error(f"--busy must be at least 1, got {options.busy}")
    print_results(options, lambda case: compare(options, case), show)


if __name__ == "__main__":
    main()
