#!/usr/bin/env python3
"""Times bert_predict beside transformers' pipeline and ONNX Runtime, in turn, on the texts of a file.

The file is GLUE's SST-2 test file, or another with a header and the text in its last column; the model's directory has
a head for single labels. Printed are medians over the rounds with their smallest and largest; a ratio is taken within
each round first. How many labels differ from bertie's is told (peer_predict.py says what is timed).
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

from turns import Spread, add_options, add_run_options, parse, ratios, run_json, take_turns

NAMES = ("bertie", "transformers", "onnxruntime")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="DIR")
    parser.add_argument("file", metavar="FILE")
    add_run_options(parser)
    add_options(parser)
    options = parse(parser)
    programs = pathlib.Path(options.programs)
    rates = [programs / "machine_rates", "--json", "--threads", str(options.threads)]
    peer = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_predict.py")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as texts:
        lines = pathlib.Path(options.file).read_text(encoding="utf-8").splitlines()[1:]
        texts.write("".join(line.split("\t")[-1] + "\n" for line in lines))
        texts.flush()
        commands = {name: [sys.executable, peer, name, "--programs", programs.parent, "--model", options.model, "--file",
                           texts.name, "--threads", str(options.threads)] for name in NAMES}
        seconds, summaries, machine = take_turns("predict", commands, options.rounds, lambda: run_json(rates))
    labels = {name: summary["labels"] for name, summary in summaries.items()}
    if len(labels["bertie"]) != len(lines):
        sys.exit(f"bert_predict told {len(labels['bertie'])} labels of {len(lines)} texts")
    peers = [min(seconds[name][round_] for name in NAMES[1:]) for round_ in range(options.rounds)]
    result = {
        "texts": len(lines), "threads": options.threads, "rounds": options.rounds,
        "programs": {name: {
            "seconds": Spread(times), "texts_per_second": len(lines) / statistics.median(times),
            "time_over_bertie": ratios(times, seconds["bertie"]),
            "other_labels": sum(a != b for a, b in zip(labels[name], labels["bertie"], strict=True)),
        } for name, times in seconds.items()},
        "faster_peer_over_bertie": ratios(peers, seconds["bertie"]),
        "sgemm_gflops": Spread([rate["sgemm_gflops"] for rate in machine]),
        "bandwidth_gbs": Spread([rate["bandwidth_gbs"] for rate in machine]),
    }
    if options.json:
        return print(json.dumps(result, default=Spread.json, indent=2))
    print(f"{result['texts']:,} texts, {result['threads']} threads, {result['rounds']} rounds")
    print(f"{'':14}{'s':24}{'texts/s':>8}  {'time over bertie':24}other labels")
    for name, program in result["programs"].items():
        print(f"{name:14}{program['seconds'].text(2):24}{program['texts_per_second']:8.0f}  "
              f"{program['time_over_bertie'].text(2):24}{program['other_labels']}")
    print(f"{'the faster peer':48}{result['faster_peer_over_bertie'].text(2)}")
    print(f"the machine: sgemm {result['sgemm_gflops'].text(1)} GFLOP/s, bandwidth {result['bandwidth_gbs'].text(1)} GB/s")


if __name__ == "__main__":
    main()
