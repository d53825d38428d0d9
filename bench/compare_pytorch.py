#!/usr/bin/env python3
"""Times training steps of bertie and of PyTorch in turn, so that both meet the same machine.

In each round each program runs steps for a second (at least one); the round's figure is their median. After each
round the machine's own sgemm rate and memory bandwidth are measured. Printed are medians over the rounds with
their smallest and largest; a ratio is taken within each round first, of the time per token. "whole head" is
transformers as it is, which computes the scores of all positions; "scored rows" gives PyTorch the same saving that
bertie has. With --precision bf16 PyTorch runs under torch.autocast, and bertie in f32 as well; with --optimizer muon
both train the encoder's matrices with Muon, and bertie runs with AdamW as well. Beside a ragged batch of 1,291 tokens
bertie also runs 13 sequences of 100.
"""

import argparse
import os
import statistics
import sys

from turns import (Spread, add_case_options, add_options, case_name, parse, print_results, ratios, run_json,
                   step_options, take_turns)

BERTIE, IN_F32, ADAMW, EVEN = "bertie", "bertie, f32", "bertie, AdamW", "bertie, 13 × 100"
WHOLE, SCORED = "PyTorch, whole head", "PyTorch, scored rows"
CASES = ["base:32x128", "base:8x128", "base:ragged", "tiny:8x32", "mini:8x32", "small:32x128"]


def compare(options, case):
    preset, shape = case
    ours = [os.path.join(options.programs, "train_step")]
    peer = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_train_step.py")]
    arguments = step_options(case, options.threads, options.precision, options.optimizer)
    commands = {BERTIE: ours + arguments}
    if options.precision != "f32":
        commands[IN_F32] = ours + step_options(case, options.threads, "f32", options.optimizer)
    if options.optimizer != "adamw":
        commands[ADAMW] = ours + step_options(case, options.threads, options.precision)
    if shape is None:
        commands[EVEN] = ours + step_options((preset, (13, 100)), options.threads, options.precision,
                                              options.optimizer)
    commands[WHOLE] = peer + arguments
    commands[SCORED] = peer + arguments + ["--masked-rows-only"]
    rates = [os.path.join(options.programs, "machine_rates"), "--json", "--threads", str(options.threads)]
    seconds, summaries, machine = take_turns(case_name(case), commands, options.rounds, lambda: run_json(rates))
    return figures(options, case, seconds, summaries, machine)


def figures(options, case, seconds, summaries, machine):
    ours = summaries[BERTIE]
    per_token = {name: [s / summaries[name]["tokens"] for s in seconds[name]] for name in seconds}
    achieved = [ours["gflop_per_step"] / s for s in seconds[BERTIE]]
    sgemm = [rates["sgemm_gflops"] for rates in machine]
    return {
        "case": case_name(case),
        "threads": options.threads,
        "rounds": options.rounds,
        "tokens": ours["tokens"],
        "programs": {name: {
            "seconds_per_step": Spread(seconds[name]),
            "tokens_per_second": 1 / statistics.median(per_token[name]),
            "peak_rss_bytes": summary["peak_rss_bytes"],
            "time_over_bertie": ratios(per_token[name], per_token[BERTIE]),
            "memory_over_bertie": summary["peak_rss_bytes"] / ours["peak_rss_bytes"],
        } for name, summary in summaries.items()},
        "gflops": Spread(achieved),
        "sgemm_gflops": Spread(sgemm),
        "share_of_sgemm": ratios(achieved, sgemm),
        **({"bf16_gflops": Spread([rates["bf16_gflops"] for rates in machine]),
            "share_of_bf16": ratios(achieved, [rates["bf16_gflops"] for rates in machine])}
           if options.precision == "bf16" else {}),
        "bandwidth_gbs": Spread([rates["bandwidth_gbs"] for rates in machine]),
        **{key: ours[key] for key in ("minor_faults_per_step", "system_requests_per_step", "isa", "gemm_backend")},
    }


def show(result):
    print(f"{result['case']}: {result['tokens']:,} tokens, {result['threads']} threads, {result['rounds']} rounds, "
          f"{result['isa']}, products by {result['gemm_backend']}")
    print(f"{'':22}{'ms per step':30}{'tokens/s':>9}  {'time over bertie':22}{'peak GiB':>8}  over bertie")
    for name, program in result["programs"].items():
        print(f"{name:22}{program['seconds_per_step'].text(1, 1e3):30}{program['tokens_per_second']:9.0f}  "
              f"{program['time_over_bertie'].text(2):22}{program['peak_rss_bytes'] / 2**30:8.3f}"
              f"  {program['memory_over_bertie']:.2f}")
    print(f"bertie's step: {result['gflops'].text(1)} GFLOP/s, {result['share_of_sgemm'].text(2)} of sgemm, "
          f"{result['minor_faults_per_step']:.1f} minor faults, "
          f"{result['system_requests_per_step']:.1f} requests for memory")
    if "share_of_bf16" in result:
        print(f"               {result['share_of_bf16'].text(2)} of the machine's rate in bf16, "
              f"{result['bf16_gflops'].text(0)} GFLOP/s")
    print(f"the machine:   sgemm {result['sgemm_gflops'].text(1)} GFLOP/s, bandwidth {result['bandwidth_gbs'].text(1)} "
          "GB/s\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_case_options(parser, CASES)
    add_options(parser)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="adamw")
    options = parse(parser)
    print_results(options, lambda case: compare(options, case), show)


if __name__ == "__main__":
    main()
