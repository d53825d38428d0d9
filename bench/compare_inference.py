#!/usr/bin/env python3
"""Times BERT-base's encoder in bertie and its peers in turn, so that all meet the same machine.

--precision says in which: f32 (PyTorch, ONNX Runtime, OpenVINO), bf16 (PyTorch, OpenVINO) or int8 (ONNX Runtime). In
the latter two bertie runs in f32 as well.

A CASE is a number of tokens, one text of that length; or a file with a text per line, in its first column (tabs
separate columns; the first line is a header), as GLUE's SST-2: its first --lines texts, in the file's order, in
batches of --batch. A file's texts give the lengths, tokenized by --vocab; the ids themselves are random, as the weights
are. All programs compute the same ids with the same weights, and their results must agree with bertie's in f32
(agreement.py). The peers pad each batch to its longest text (peer_inference.py).

In each round each program runs a case for a second (at least once); the round's figure is the median. After each round
the machine's own sgemm rate and memory bandwidth are measured. Printed are medians over the rounds with their smallest
and largest; a ratio is taken within each round first. Tokens are real ones, never padding. The limit is the time of the
products of the real tokens at the machine's rate in the round, in f32 (sgemm) or bf16. --isa avx2 doesn't reach ONNX
Runtime, which has no switch, and of OpenVINO the products alone.
"""

import argparse
import os
import statistics
import sys
import tempfile

from agreement import agreement, agreement_text
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer
from turns import Spread, add_options, add_run_options, parse, print_results, ratios, run_json, take_turns

BERTIE, IN_F32 = "bertie", "bertie, f32"
ENGINES = {"PyTorch": "pytorch", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}
PEERS = {"f32": list(ENGINES), "bf16": ["PyTorch", "OpenVINO"], "int8": ["ONNX Runtime"]}
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
        folders = {precision: os.path.join(folder, precision) for precision in ("f32", options.precision)}
        ours = {precision: [os.path.join(options.programs, "infer"), "--lengths", ",".join(map(str, lengths)), *sizes,
                            "--precision", precision, "--save", path, "--serve"] for precision, path in folders.items()}
        commands = {BERTIE: ours[options.precision]}
        if options.precision != "f32":
            commands[IN_F32] = ours["f32"]
        for peer_name in PEERS[options.precision]:  # they start when what bertie saved is there
            commands[peer_name] = [sys.executable, peer, ENGINES[peer_name], folders["f32"], *sizes, "--precision",
                                   options.precision]
        seconds, summaries, machine = take_turns(name, commands, options.rounds, lambda: run_json(rates))
        states = {precision: load_file(os.path.join(path, "texts.safetensors"))["last_hidden_state"]
                  for precision, path in folders.items()}
    if options.precision != "f32":
        summaries[BERTIE]["agreement"] = agreement(BERTIE, options.precision, states[options.precision], states["f32"])
    return figures(options, name, lengths, batch, seconds, summaries, machine)


def figures(options, case, lengths, batch, seconds, summaries, machine):
    ours = summaries[BERTIE]
    peers = PEERS[options.precision]
    achieved = [ours["gflop"] / s for s in seconds[BERTIE]]
    measured = {rate: [each[f"{rate}_gflops"] for each in machine] for rate in ("sgemm", "bf16")}
    limit = {"f32": ["sgemm"], "bf16": ["bf16"], "int8": []}[options.precision]  # whose rate in int8 isn't measured
    shown = dict.fromkeys(["sgemm", *limit])
    fastest_peer = [min(seconds[peer][round_] for peer in peers) for round_ in range(options.rounds)]
    return {
        "case": case,
        "precision": options.precision,
        "lengths": lengths,
        "batch": batch,
        "threads": options.threads,
        "rounds": options.rounds,
        "tokens": ours["tokens"],
        "padded_tokens": summaries[peers[0]]["padded_tokens"],
        "agreement": {name: summary["agreement"] for name, summary in summaries.items() if "agreement" in summary},
        "programs": {program: {
            "seconds": Spread(times),
            "tokens_per_second": ours["tokens"] / statistics.median(times),
            "time_over_bertie": ratios(times, seconds[BERTIE]),
        } for program, times in seconds.items()},
        "fastest_peer_over_bertie": ratios(fastest_peer, seconds[BERTIE]),
        "gflops": Spread(achieved),
        **{f"{rate}_gflops": Spread(measured[rate]) for rate in shown},
        **{f"share_of_{rate}": ratios(achieved, measured[rate]) for rate in shown},
        **{"limit_seconds": Spread([ours["gflop"] / value for value in measured[rate]]) for rate in limit},
        "bandwidth_gbs": Spread([each["bandwidth_gbs"] for each in machine]),
        "isa": ours["isa"],
    }


def show(result):
    print(f"{result['case']}, {result['precision']}, batches of {result['batch']}: {result['tokens']:,} tokens, "
          f"{result['padded_tokens']:,} with padding; {result['threads']} threads, {result['rounds']} rounds, "
          f"{result['isa']}")
    print(f"{'':14}{'ms':28}{'tokens/s':>9}  time over bertie")
    for name, program in result["programs"].items():
        print(f"{name:14}{program['seconds'].text(1, 1e3):28}{program['tokens_per_second']:9.0f}  "
              f"{program['time_over_bertie'].text(2)}")
    print(f"{'the fastest peer':51}  {result['fastest_peer_over_bertie'].text(2)}")
    rates = [rate for rate in ("sgemm", "bf16") if f"share_of_{rate}" in result]
    shares = "".join(f", {result[f'share_of_{rate}'].text(2)} of {rate}" for rate in rates)
    limit = f"; the limit is {result['limit_seconds'].text(1, 1e3)} ms" if "limit_seconds" in result else ""
    print(f"bertie:      {result['gflops'].text(1)} GFLOP/s{shares}{limit}")
    print(f"results:     {agreement_text(result['precision'], result['agreement'])}")
    machine = ", ".join(f"{rate} {result[f'{rate}_gflops'].text(1)} GFLOP/s" for rate in rates)
    print(f"the machine: {machine}, bandwidth {result['bandwidth_gbs'].text(1)} GB/s\n", flush=True)


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
    parser.add_argument("--precision", choices=PEERS, default="f32")
    options = parse(parser)
    if not options.vocab and any(isinstance(case, str) for case in options.cases):
        parser.error("a file of texts needs --vocab, or BERTIE_TEST_DATA")
    print_results(options, lambda case: compare(options, case), show)


if __name__ == "__main__":
    main()
