#!/usr/bin/env python3
"""How long PyTorch takes to learn what bert_pretrain learned with Muon.

    compare_learning.py train --run DIR --with muon|trainer --steps N --learning-rate R --threads N
    compare_learning.py compare DIR

train   DIR has what write_mlm_run wrote (start, batches.safetensors, held_out.safetensors). BertForMaskedLM is trained
        from that start on the first N batches, in f32 without dropout: with torch.optim.Muon for the encoder's
        matrices and fused AdamW for all else, in a loop as short as can be; or by transformers' Trainer with fused
        AdamW. DIR/muon.json or DIR/trainer.json gets the held-out loss, on all of the held-out text, and the seconds.
compare also evaluates DIR/bertie, by transformers too, and prints all with the machine's rates in DIR/sgemm.jsonl.
        It passes where each of both took as many times as long as is asked for, 2.5 and 5, and came to no lower loss.

The rate rises over the first 5 % of the steps and falls to zero linearly, as bert_pretrain's does. torch.optim.Muon has
bert_pretrain's momentum, 0.9, and its steps' size (twice as large as "match_rms_adamw" makes them), but its own five
iterations, in bf16. Batches are padded to their longest sequence, with a mask, before the clock starts.
"""

import argparse
import json
import pathlib
import sys
import time

import torch
from compare_wikitext import decay_groups, held_out_loss, load_batches, load_model
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments
from transformers.utils import logging

ASKED = {"muon": 2.5, "trainer": 5.0}
NAMES = {"muon": "PyTorch with torch.optim.Muon", "trainer": "transformers' Trainer with AdamW"}


def train_with_muon(model, batches, learning_rate):
    matrices = [p for p in model.bert.encoder.parameters() if p.dim() == 2]
    of_muon = {id(p) for p in matrices}
    rest = decay_groups(model, 0.01)
    for group in rest:
        group["params"] = [p for p in group["params"] if id(p) not in of_muon]
    optimizers = [torch.optim.AdamW(rest, lr=learning_rate, fused=True),
                  torch.optim.Muon(matrices, lr=2 * learning_rate, weight_decay=0.005, momentum=0.9,
                                   adjust_lr_fn="match_rms_adamw")]
    steps, warmup = len(batches), max(1, len(batches) // 20)
    schedules = [torch.optim.lr_scheduler.LambdaLR(
        o, lambda t: (t + 1) / warmup if t < warmup else (steps - t) / (steps - warmup)) for o in optimizers]
    for t, inputs in enumerate(batches):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules):
            optimizer.step()
            schedule.step()
        if (t + 1) % 100 == 0:
            print(f"PyTorch step {t + 1}/{steps}, loss {loss.item():.4f}", file=sys.stderr)


class InOrder(Trainer):
    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, batch_size=None, shuffle=False)


def train_with_trainer(model, batches, learning_rate, folder):
    arguments = TrainingArguments(
        output_dir=folder, max_steps=len(batches), per_device_train_batch_size=1, optim="adamw_torch_fused",
        learning_rate=learning_rate, weight_decay=0.01, max_grad_norm=1.0, lr_scheduler_type="linear",
        warmup_steps=max(1, len(batches) // 20), use_cpu=True, report_to="none", save_strategy="no", logging_steps=100)
    InOrder(model=model, args=arguments, train_dataset=batches).train()


def run_training(options):
    torch.set_num_threads(options.threads)
    run = options.run
    batches = load_batches(run / "batches.safetensors")[0][:options.steps]
    assert len(batches) == options.steps
    model = load_model(run / "start").train()
    start = time.perf_counter()
    if options.optimizer == "muon":
        train_with_muon(model, batches, options.learning_rate)
    else:
        train_with_trainer(model, batches, options.learning_rate, run / "trainer")
    seconds = time.perf_counter() - start
    loss = held_out_loss(model, load_batches(run / "held_out.safetensors")[0])
    result = {"steps": options.steps, "learning_rate": options.learning_rate, "seconds": seconds, "held_out_loss": loss}
    (run / f"{options.optimizer}.json").write_text(json.dumps(result, indent=1) + "\n")


def compare(run):
    held_out = load_batches(run / "held_out.safetensors")[0]
    records = [json.loads(line) for line in (run / "bertie/metrics.jsonl").read_text().splitlines()]
    last = [record for record in records if record["kind"] == "training"][-1]
    loss = held_out_loss(load_model(run / "bertie"), held_out)
    print(f"bert_pretrain with Muon: {last['step']} steps in {last['seconds']:.1f} s, held-out loss {loss:.4f}")
    passed = True
    for name, times in ASKED.items():
        r = json.loads((run / f"{name}.json").read_text())
        ratio = r["seconds"] / last["seconds"]
        passed = passed and ratio >= times and r["held_out_loss"] >= loss
        print(f"{NAMES[name]}: {r['steps']} steps in {r['seconds']:.1f} s, held-out loss {r['held_out_loss']:.4f}: "
              f"{ratio:.2f} times as long (at least {times}), {r['held_out_loss'] - loss:.4f} above (at least 0)")
    rates = [json.loads(line) for line in (run / "sgemm.jsonl").read_text().splitlines()]
    print("sgemm before, between, after: " + ", ".join(f"{rate['sgemm_gflops']:.0f}" for rate in rates) + " GFLOP/s")
    print("passed" if passed else "FAILED")
    sys.exit(0 if passed else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--run", required=True, type=pathlib.Path)
    training.add_argument("--with", required=True, choices=ASKED, dest="optimizer")
    training.add_argument("--steps", required=True, type=int)
    training.add_argument("--learning-rate", required=True, type=float)
    training.add_argument("--threads", required=True, type=int)
    comparison = commands.add_parser("compare")
    comparison.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    logging.disable_progress_bar()
    if options.command == "train":
        run_training(options)
    else:
        compare(options.folder)


if __name__ == "__main__":
    main()
