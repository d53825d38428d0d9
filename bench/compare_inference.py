#!/usr/bin/env python3
"""Times BERT-base's encoder in bertie, PyTorch and ONNX Runtime in turn, so that all meet the same machine.

A CASE is a number of tokens, one text of that length; or a file with a text per line, in its first column (tabs
separate columns; the first line is a header), as GLUE's SST-2: its first --lines texts, in the file's order, in
batches of --batch. A file's texts give the lengths, tokenized by --vocab; the ids themselves are random, as the weights
are. All programs compute the same ids with the same weights, and their results are compared first. PyTorch and ONNX
Runtime pad each batch to its longest text (peer_inference.py).

In each round each program runs a case for a second (at least once); the round's figure is the median. After each round
the machine's own sgemm rate and memory bandwidth are measured. Printed are medians over the rounds with their smallest
and largest; a ratio is taken within each round first. Tokens are real ones, never padding. The limit is the time of the
products of the real tokens at the sgemm rate of the round. --isa avx2 doesn't reach ONNX Runtime, which has no switch.
"""

import argparse
import os
import statistics
import sys
import tempfile

from tokenizers import BertWordPieceTokenizer
from turns import Spread, add_options, add_run_options, parse, print_results, ratios, run_json, take_turns

BERTIE = "bertie"
PEERS = {"PyTorch": "pytorch", "ONNX Runtime": "onnxruntime"}
DATA = os.environ.get("BERTIE_TEST_DATA")
LINES = ["glue/SST-2/dev.tsv", "glue/SST-2/train.tsv"]
VOCAB = "vocab/bert-base-uncased-vocab.txt"
LONGEST = 512


def lengths_of(options, case):
    if isinstance(case, int):
        return [case]
    tokenizer = BertWordPieceTokenizer(options.vocab)
    tokenizer.enable_truncation(LONGEST)
    with open(case, encoding="utf-8") as file:
        texts = [line.split("\t")[0] for line in file.read().split("\n")[1:options.lines + 1] if line]
    if not texts:
        sys.exit(f"{case} has no text below its header")
    return [len(tokenizer.encode(text).ids) for text in texts]


def compare(options, case):
    lengths = lengths_of(options, case)
    batch = min(options.batch, len(lengths))
    sizes = ["--batch", str(batch), "--threads", str(options.threads)]
    peer = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_inference.py")
    rates = [os.path.join(options.programs, "machine_rates"), "--json", "--threads", str(options.threads)]
    name = f"a text of {case} tokens" if isinstance(case, int) else f"{len(lengths)} lines of {os.path.basename(case)}"
    with tempfile.TemporaryDirectory() as folder:
        commands = {BERTIE: [os.path.join(options.programs, "infer"), "--lengths", ",".join(map(str, lengths)), *sizes,
                             "--save", folder, "--serve"]}  # saves before it is ready, and the others start then
        for peer_name, engine in PEERS.items():
            commands[peer_name] = [sys.executable, peer, engine, folder, *sizes]
        seconds, summaries, machine = take_turns(name, commands, options.rounds, lambda: run_json(rates))
    return figures(options, name, lengths, batch, seconds, summaries, machine)


def figures(options, name, lengths, batch, seconds, summaries, machine):
    ours = summaries[BERTIE]
    achieved = [ours["gflop"] / s for s in seconds[BERTIE]]
    sgemm = [rates["sgemm_gflops"] for rates in machine]
    faster_peer = [min(seconds[peer][round_] for peer in PEERS) for round_ in range(options.rounds)]
    return {
        "case": name,
        "lengths": lengths,
        "batch": batch,
        "threads": options.threads,
        "rounds": options.rounds,
        "tokens": ours["tokens"],
        "padded_tokens": summaries["PyTorch"]["padded_tokens"],
        "largest_difference": {peer: summaries[peer]["largest_difference"] for peer in PEERS},
        "programs": {program: {
            "seconds": Spread(times),
            "tokens_per_second": ours["tokens"] / statistics.median(times),
            "time_over_bertie": ratios(times, seconds[BERTIE]),
        } for program, times in seconds.items()},
        "faster_peer_over_bertie": ratios(faster_peer, seconds[BERTIE]),
        "gflops": Spread(achieved),
        "sgemm_gflops": Spread(sgemm),
        "share_of_sgemm": ratios(achieved, sgemm),
        "limit_seconds": Spread([ours["gflop"] / rate for rate in sgemm]),
        "bandwidth_gbs": Spread([rates["bandwidth_gbs"] for rates in machine]),
        "isa": ours["isa"],
    }


def show(result):
    print(f"{result['case']}, batches of {result['batch']}: {result['tokens']:,} tokens, {result['padded_tokens']:,} "
          f"with padding; {result['threads']} threads, {result['rounds']} rounds, {result['isa']}")
    print(f"{'':14}{'ms':28}{'tokens/s':>9}  time over bertie")
    for name, program in result["programs"].items():
        print(f"{name:14}{program['seconds'].text(1, 1e3):28}{program['tokens_per_second']:9.0f}  "
              f"{program['time_over_bertie'].text(2)}")
    print(f"{'the faster peer':51}  {result['faster_peer_over_bertie'].text(2)}")
    print(f"bertie:      {result['gflops'].text(1)} GFLOP/s, {result['share_of_sgemm'].text(2)} of sgemm; the limit is "
          f"{result['limit_seconds'].text(1, 1e3)} ms")
    differences = ", ".join(f"{peer} {value:.1e}" for peer, value in result["largest_difference"].items())
    print(f"results:     largest difference to bertie's: {differences}")
    print(f"the machine: sgemm {result['sgemm_gflops'].text(1)} GFLOP/s, bandwidth {result['bandwidth_gbs'].text(1)} "
          "GB/s\n", flush=True)


def parse_case(text):
    if not text.isdecimal():
        if not os.path.isfile(text):
            raise argparse.ArgumentTypeError(f"expected a number of tokens or a file, got {text!r}")
        return text
    if not 1 <= int(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"a text has 1 to {LONGEST} tokens, got {text}")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    files = [os.path.join(DATA, name) for name in LINES] if DATA else []
    parser.add_argument("cases", nargs="*", type=parse_case, metavar="CASE", default=[16, 128, 384, *files],
                        help="a number of tokens or a file (default: 16 128 384 and, in the folder that "
                        f"BERTIE_TEST_DATA names, {' '.join(LINES)})")
    parser.add_argument("--lines", type=int, default=256, help="texts of a file")
    parser.add_argument("--batch", type=int, default=16, help="texts of a batch")
    parser.add_argument("--vocab", metavar="FILE", default=os.path.join(DATA, VOCAB) if DATA else None,
                        help=f"an uncased vocabulary (default: {VOCAB} in that folder)")
    add_run_options(parser)
    add_options(parser)
    options = parse(parser)
    if not options.vocab and any(isinstance(case, str) for case in options.cases):
        parser.error("a file of texts needs --vocab, or BERTIE_TEST_DATA")
    print_results(options, lambda case: compare(options, case), show)


if __name__ == "__main__":
    main()
