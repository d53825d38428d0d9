#!/usr/bin/env python3
"""What threads bring to a training step, beside what they bring to products that share nothing.

In each round train_step runs with one thread and with --threads of them, for a second each (at least one step; the
round's figure is their median). After each round the machine's own ratio is measured: the sum of as many sgemms of
one thread as there are --threads, all at the same time, over one alone. Printed are medians over the rounds with
their smallest and largest; ratios are taken within each round first.
"""

import argparse
import os

from turns import (Spread, add_case_options, add_options, case_name, parse, print_results, ratios, run_json,
                   step_options, take_turns)


def compare(options, case):
    train_step = os.path.join(options.programs, "train_step")
    commands = {f"{threads} threads": [train_step, *step_options(case, threads)] for threads in (1, options.threads)}
    rates = [os.path.join(options.programs, "machine_rates"), "--json", "--threads", str(options.threads),
             "--independent"]
    seconds, summaries, machine = take_turns(case_name(case), commands, options.rounds, lambda: run_json(rates))
    one, many = seconds.values()
    speedup = [a / b for a, b in zip(one, many)]
    possible = [rates["independent_over_one"] for rates in machine]
    summary = list(summaries.values())[-1]
    return {
        "case": case_name(case),
        "threads": options.threads,
        "rounds": options.rounds,
        "seconds_on_one": Spread(one),
        "seconds_on_all": Spread(many),
        "speedup": Spread(speedup),
        "one_sgemm_gflops": Spread([rates["one_sgemm_gflops"] for rates in machine]),
        "independent_sgemms_gflops": Spread([rates["independent_sgemms_gflops"] for rates in machine]),
        "independent_over_one": Spread(possible),
        "speedup_over_independent": ratios(speedup, possible),
        "isa": summary["isa"],
        "gemm_backend": summary["gemm_backend"],
    }


def show(result):
    threads = result["threads"]
    print(f"{result['case']}: {result['rounds']} rounds, {result['isa']}, products by {result['gemm_backend']}")
    print(f"ms per step:        {result['seconds_on_one'].text(1, 1e3)} on 1 thread, "
          f"{result['seconds_on_all'].text(1, 1e3)} on {threads}: {result['speedup'].text(2)} times as fast")
    print(f"independent sgemms: {result['one_sgemm_gflops'].text(1)} GFLOP/s alone, "
          f"{result['independent_sgemms_gflops'].text(1)} for {threads} at once: "
          f"{result['independent_over_one'].text(2)} times")
    print(f"the step's ratio over theirs: {result['speedup_over_independent'].text(2)}\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_case_options(parser, ["base:32x128", "base:8x128"])
    add_options(parser)
    options = parse(parser)
    if options.threads == 1:
        parser.error("--threads must be at least 2")
    print_results(options, lambda case: compare(options, case), show)


if __name__ == "__main__":
    main()
