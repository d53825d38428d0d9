#!/usr/bin/env python3
"""How fast `tokenizers` makes ids of the lines of text files, as transformers' BertTokenizer sets it up: one
encode_batch_fast() of all lines, which computes no offsets, for each line "go" on standard input (compare_tokenizers.py
sends them). The protocol is that of bench/tokenize.cpp."""

import argparse
import json
import os
import sys
import time


def say(value):
    print(json.dumps(value), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    # Read where the library starts its threads, so before it is loaded.
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.threads > 1 else "false"
    from transformers import BertTokenizer

    tokenizer = BertTokenizer(options.vocab).backend_tokenizer
    lines = [line for path in options.files for line in open(path, encoding="utf-8", newline="\n").read().split("\n")
             if line.strip(" \t\r\v\f")]  # bench/tokenize leaves blank ones out, too

    def run():
        begin = time.perf_counter()
        encodings = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
        return time.perf_counter() - begin, encodings

    tokens = sum(len(encoding.ids) for encoding in run()[1])
    say({"ready": True})
    for line in sys.stdin:
        if line.strip() != "go":
            sys.exit(f"peer_tokenize: expected a line \"go\", got {line.strip()!r}")
        say({"seconds": run()[0]})
    say({"lines": len(lines), "bytes": sum(len(line.encode()) + 1 for line in lines), "tokens": tokens})


if __name__ == "__main__":
    main()
