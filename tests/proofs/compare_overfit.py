#!/usr/bin/env python3
"""Overfits one batch by PyTorch and transformers and compares the losses with bertie's.

    compare_overfit.py --model DIR --batch FILE --losses FILE --output FILE

--model   the start, a model directory that bertie wrote. transformers must find every weight in it
          and no other
--batch   safetensors in packed layout (bench/packed_batch.py): ids [T], offsets [N+1], scored_rows [M],
          labels [M], and token_type_ids [T] where they aren't all 0; i32 or i64
--losses  bertie's, JSON: {"losses": [l0, l1, …]}, the loss of each step before its update, mean
          over the scored rows
--output  both rows of losses and the verdict, JSON

PyTorch trains in f32 with Adam (betas 0.9 and 0.999, eps 1e-8, no weight decay), without dropout and without
clipping, at a constant rate. It passes (exit 0; otherwise 1) where the first 5 losses agree to 1e-4 and
bertie's last one is at most max(0.5, PyTorch's + 0.05).
"""

import argparse
import json
import pathlib
import sys
import time

import torch
from safetensors.torch import load_file
from transformers import BertForMaskedLM
from transformers.utils import logging

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
from packed_batch import model_inputs  # noqa: E402


def load_model(folder):
    # Without this check transformers would fill a missing weight with random numbers and only warn of it.
    model, loading = BertForMaskedLM.from_pretrained(
        folder,
        dtype=torch.float32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        output_loading_info=True,
    )
    wrong = {kind: sorted(map(str, names)) for kind, names in loading.items() if names}
    if wrong:
        sys.exit(f"compare_overfit: {folder} is not a whole BertForMaskedLM: {wrong}")
    return model.train()


def train(model, batch, steps, rate):
    inputs = model_inputs(batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for step in range(steps):
        start = time.perf_counter()
        loss = model(**inputs).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"PyTorch step {step + 1}/{steps}, loss {losses[-1]:.5f}, {time.perf_counter() - start:.1f} s",
              file=sys.stderr)
    return losses


def compare(ours, theirs):
    """The verdict. A loss that is no number fails, because no comparison with it is true."""
    early = max(abs(a - b) for a, b in zip(ours[:5], theirs[:5]))
    limit = max(0.5, theirs[-1] + 0.05)
    early_agrees = all(abs(a - b) <= 1e-4 for a, b in zip(ours[:5], theirs[:5]))
    return {
        "first_5_apart_by": early,
        "last": ours[-1],
        "last_allowed": limit,
        "passed": early_agrees and ours[-1] <= limit,
    }


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    for option in ("--model", "--batch", "--losses", "--output"):
        parser.add_argument(option, required=True, type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    ours = json.loads(options.losses.read_text())["losses"]
    if options.steps < 5 or len(ours) != options.steps:
        sys.exit(f"compare_overfit: {options.losses} must hold the losses of {options.steps} steps (5 at "
                 f"least), it holds {len(ours)}")
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    theirs = train(load_model(options.model), load_file(options.batch), options.steps, options.learning_rate)
    verdict = compare(ours, theirs)
    options.output.write_text(json.dumps({"bertie": ours, "pytorch": theirs} | verdict, indent=1) + "\n")
    print(f"first 5 losses apart by {verdict['first_5_apart_by']:.2e} (allowed 1e-4); last: "
          f"bertie {ours[-1]:.4f}, PyTorch {theirs[-1]:.4f} (allowed {verdict['last_allowed']:.4f}): "
          f"{'passed' if verdict['passed'] else 'FAILED'}")
    sys.exit(0 if verdict["passed"] else 1)


if __name__ == "__main__":
    main()
