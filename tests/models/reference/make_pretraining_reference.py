#!/usr/bin/env python3
"""Trains transformers' BertForPreTraining on bertie's own batches: tests/models/reference/pretraining.

tests/proofs/pretraining_batches.cpp has put the start (a model directory) and batches.safetensors there. This adds

    losses.safetensors  mlm.f64, nsp.f64, mlm.f32, nsp.f32 [20]: both heads' mean losses at each step, before its
                        update, by torch on one thread
                        muon.mlm.f64, … [30]: the same of torch.optim.Muon

and prints the norms of the gradient. The run: AdamW (weight decay 0.01, none for biases and LayerNorm), the norm clipped
to 1, the rate 0.005 · (t + 1) / 5 for t < 5, then 0.005 · (20 − t) / 15. With Muon, which has the matrices of the
encoder, it has 30 steps, and no bfloat16 (tests/nn/reference/make_muon_reference.py).
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import BertForPreTraining
from transformers.utils import logging

for folder in ("bench", "tests/nn/reference"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / folder))
from make_bert_reference import decay_groups  # noqa: E402
from make_muon_reference import in_own_type, make_muon  # noqa: E402
from packed_batch import model_inputs  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parent / "pretraining"
STEPS, MUON_STEPS, WARMUP, PEAK, DECAY = 20, 30, 5, 5e-3, 0.01


def make_optimizers(model, muon):
    groups = decay_groups(model, DECAY)
    if not muon:
        return [torch.optim.AdamW(groups, lr=PEAK)]
    matrices = [p for p in model.bert.encoder.parameters() if p.ndim == 2]
    for group in groups:
        group["params"] = [p for p in group["params"] if all(p is not m for m in matrices)]
    return [make_muon(matrices, PEAK, DECAY), torch.optim.AdamW(groups, lr=PEAK)]


def train(dtype, batches, muon):
    """Losses of MLM and of NSP, and the norms of the gradient, of each step."""
    steps = MUON_STEPS if muon else STEPS
    model = BertForPreTraining.from_pretrained(TARGET, dtype=dtype, attn_implementation="eager").train()
    assert not model.config.hidden_dropout_prob and not model.config.attention_probs_dropout_prob
    optimizers = make_optimizers(model, muon)
    mlm, nsp, norms = [], [], []
    for step in range(steps):
        batch = {name.split(".")[1]: value for name, value in batches.items() if name.startswith(f"{step}.")}
        inputs, next_sentence = model_inputs(batch), batch["next_sentence_labels"].long()
        output = model(**inputs, next_sentence_label=next_sentence)
        cross_entropy = torch.nn.functional.cross_entropy
        mlm.append(cross_entropy(output.prediction_logits.flatten(0, 1), inputs["labels"].flatten()).detach())
        nsp.append(cross_entropy(output.seq_relationship_logits, next_sentence).detach())
        assert torch.isclose(output.loss, mlm[-1] + nsp[-1])
        model.zero_grad()
        output.loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = PEAK * ((step + 1) / WARMUP if step < WARMUP else (steps - step) / (steps - WARMUP))
            with in_own_type():
                optimizer.step()
    return torch.stack(mlm), torch.stack(nsp), norms


def main():
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    batches = load_file(TARGET / "batches.safetensors")
    assert len(batches) == 6 * MUON_STEPS
    losses = {}
    for run, muon in (("", False), ("muon.", True)):
        for name, dtype in (("f64", torch.float64), ("f32", torch.float32)):
            losses[f"{run}mlm.{name}"], losses[f"{run}nsp.{name}"], norms = train(dtype, batches, muon)
        for head in (f"{run}mlm", f"{run}nsp"):
            exact = losses[f"{head}.f64"]
            apart = float((exact - losses[f"{head}.f32"].double()).abs().max())
            print(f"{head}: {exact[0]:.4f} to {exact[-1]:.4f}, f32 and f64 apart by {apart:.2e}")
        print(f"norm of the gradient {min(norms):.2f} to {max(norms):.2f}")
    save_file(losses, TARGET / "losses.safetensors")


if __name__ == "__main__":
    main()
