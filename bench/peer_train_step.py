#!/usr/bin/env python3
"""Times a training step of BertForMaskedLM in PyTorch and transformers, to stand beside bench/train_step.

Random ids, 15 % of the positions scored, dropout 0.1, clipping at global norm 1, AdamW (fused), or with
--optimizer muon torch.optim.Muon for the encoder's matrices beside it; in f32, or with --precision bf16 under
torch.autocast("cpu", torch.bfloat16); attention as transformers chooses it (PyTorch's
scaled_dot_product_attention). A step is forward, backward, clipping and update. Five warm-up steps, then --rounds timed ones; seconds_per_step is their median. tokens_per_second counts
real tokens, never padding. peak_rss_bytes is the whole process, the interpreter included.

--serve lets a driver alternate this program with another, so that both meet the same machine: after the
warm-up it prints {"ready": true}; then, for each line "go" on standard input, it runs one step and prints
{"seconds": s}; at the end of input it prints the summary of these steps.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import torch
from packed_batch import model_inputs, token_positions
from transformers import BertConfig, BertForMaskedLM

PRESETS = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "base": (12, 768)}
RAGGED = [32, 37, 55, 34, 85, 14, 43, 17, 35, 30, 30, 10, 38, 53, 100, 60,
          9, 17, 64, 19, 41, 14, 58, 74, 43, 42, 40, 24, 51, 35, 39, 48]
WARM_UPS = 5


def make_model(preset):
    layers, hidden = PRESETS[preset]
    return BertForMaskedLM(BertConfig(
        vocab_size=30522 if preset == "base" else 8192,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )).train()


def random_batch(lengths, vocabulary):
    offsets = torch.tensor([0] + lengths).cumsum(0)
    tokens = int(offsets[-1])
    scored = torch.randperm(tokens)[:max(1, round(0.15 * tokens))].sort().values
    return {
        "ids": torch.randint(1, vocabulary, (tokens,)),
        "offsets": offsets,
        "scored_rows": scored,
        "labels": torch.randint(1, vocabulary, (len(scored),)),
    }


class TrainStep:
    def __init__(self, options):
        self.model = make_model(options.preset)
        of_muon = [p for p in self.model.bert.encoder.parameters() if p.dim() == 2 and options.optimizer == "muon"]
        ids = {id(p) for p in of_muon}
        rest = [p for p in self.model.parameters() if id(p) not in ids]
        self.optimizers = [torch.optim.AdamW(rest, lr=1e-4, weight_decay=0.01, fused=True)]
        if of_muon:
            self.optimizers.append(torch.optim.Muon(of_muon, lr=1e-4, weight_decay=0.01,
                                                    adjust_lr_fn="match_rms_adamw"))
        lengths = RAGGED if options.ragged else [options.length] * options.sequences
        batch = random_batch(lengths, self.model.config.vocab_size)
        self.tokens = sum(lengths)
        self.inputs = model_inputs(batch)
        if not options.ragged:
            del self.inputs["attention_mask"]  # nothing is padded, and without a mask it is no slower
        self.precision = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16")
        self.scored = None
        if options.masked_rows_only:
            rows, columns = token_positions(batch["offsets"])
            self.scored = rows[batch["scored_rows"]], columns[batch["scored_rows"]]
            self.labels = batch["labels"]
            del self.inputs["labels"]

    def loss(self):
        if self.scored is None:
            return self.model(**self.inputs).loss
        hidden = self.model.bert(**self.inputs).last_hidden_state
        return torch.nn.functional.cross_entropy(self.model.cls(hidden[self.scored]), self.labels)

    def run(self):
        """One step; its seconds."""
        start = time.perf_counter()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with self.precision:
            loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return time.perf_counter() - start


def say(value):
    print(json.dumps(value), flush=True)


def serve(step):
    say({"ready": True})
    seconds = []
    for line in sys.stdin:
        if line.strip() != "go":
            sys.exit(f"peer_train_step: expected a line \"go\", got {line.strip()!r}")
        seconds.append(step.run())
        say({"seconds": seconds[-1]})
    return seconds


def parse_options():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--ragged", action="store_true", help="32 sequences of 9 to 100 tokens, 1,291 in all")
    parser.add_argument("--masked-rows-only", action="store_true", help="MLM head on scored rows only")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="adamw")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="timed steps (without --serve)")
    parser.add_argument("--serve", action="store_true", help="a step for each line \"go\" on standard input")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON (--serve always does)")
    options = parser.parse_args()
    for name in ("sequences", "length", "threads", "rounds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.length > 512:
        parser.error(f"--length must be at most 512, got {options.length}")
    return options


def main():
    options = parse_options()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    step = TrainStep(options)
    for _ in range(WARM_UPS):
        step.run()
    seconds = serve(step) if options.serve else [step.run() for _ in range(options.rounds)]
    if not seconds:
        sys.exit("peer_train_step: the input ended before the first \"go\"")
    median = statistics.median(seconds)
    summary = {
        "tokens": step.tokens,
        "seconds_per_step": median,
        "tokens_per_second": step.tokens / median,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
    }
    if options.json or options.serve:
        say(summary)
    else:
        print(f"{median:.3f} s per step, {summary['tokens_per_second']:.0f} tokens/s, "
              f"peak {summary['peak_rss_bytes'] / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
