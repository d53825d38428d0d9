#!/usr/bin/env python3
"""Times bertie's tokenizer and `tokenizers` in turn on the lines of text files, from memory, ids only.

In each round each program turns all lines into ids for a second (at least once); the round's figure is their median.
Printed are medians over the rounds with their smallest and largest; ratios are taken within each round first.
"""

import argparse
import json
import os
import sys

from turns import Spread, ratios, take_turns

PEER = "tokenizers, 1 thread"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, metavar="DIR", help="where tokenize is")
    parser.add_argument("--vocab", required=True, help="vocab.txt of an uncased model")
    parser.add_argument("--threads", type=int, default=2, help="bertie runs with one thread and with these")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.threads < 2 or options.rounds < 1:
        parser.error("--threads must be at least 2 and --rounds at least 1")

    one, many = "bertie, 1 thread", f"bertie, {options.threads} threads"
    inputs = ["--vocab", options.vocab, *options.files]
    ours = [os.path.join(options.programs, "tokenize"), "--serve", *inputs]
    peer = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_tokenize.py"), *inputs]
    seconds, summaries, _ = take_turns(
        "tokenize", {one: ours + ["--threads", "1"], many: ours + ["--threads", str(options.threads)], PEER: peer},
        options.rounds, lambda: None)
    amounts = [[summary[key] for key in ("lines", "bytes", "tokens")] for summary in summaries.values()]
    if any(amount != amounts[0] for amount in amounts):
        sys.exit(f"lines, bytes and tokens differ: {dict(zip(summaries, amounts))}")

    lines, size, tokens = amounts[0]
    figures = {
        "lines": lines, "bytes": size, "tokens": tokens, "rounds": options.rounds,
        "megabytes_per_second": {name: Spread([1e-6 * size / s for s in values]) for name, values in seconds.items()},
        "one_thread_over_tokenizers": ratios(seconds[PEER], seconds[one]),
        "threads_over_one": ratios(seconds[one], seconds[many]),
    }
    if options.json:
        print(json.dumps(figures, default=Spread.json, indent=2, ensure_ascii=False))
        return
    print(f"{lines:,} lines, {size:,} bytes, {tokens:,} tokens, {options.rounds} rounds")
    for name, rate in figures["megabytes_per_second"].items():
        print(f"{name:22}{rate.text(1)} MB/s")
    print(f"bertie on one thread is {figures['one_thread_over_tokenizers'].text(1)} times as fast as `tokenizers`; "
          f"{options.threads} threads are {figures['threads_over_one'].text(2)} times as fast as one")


if __name__ == "__main__":
    main()
