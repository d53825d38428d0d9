#!/usr/bin/env python3
"""Writes tests/models/reference/bert_small: what PyTorch and transformers compute for a whole small BERT.

    config.json, model.safetensors  the start, as transformers saves BertForMaskedLM, in f64. Every weight is
                                    a number that f32 holds too, so both types start at the same point.
    expected.safetensors            batch and results in f64, in packed layout (bench/packed_batch.py)
    training.json                   the hyperparameters of the three runs

expected.safetensors holds, with T tokens, N sequences, M scored tokens, H hidden, V vocabulary:
    ids i32 [T], token_type_ids i32 [T], offsets i64 [N+1], scored_rows i32 [M] (ascending indices
    into the T tokens), labels i32 [M]
    loss [] (cross-entropy, mean over the M scored tokens), last_hidden_state [T, H], logits [M, V]
    grad.<name> for every parameter in model.safetensors, of its shape. The word embeddings' is the sum of
    what flows back from lookup and from the tied decoder.
    losses.<run>.f64 and losses.<run>.f32 [30], run = adam, adamw or sgd: the same run in both types, by torch
    on one thread. Made anew on another CPU, the last digits may differ.

Conventions of the runs. All 30 steps are on the one batch, without dropout, each from the start in
model.safetensors. Step t = 0 … 29 does: loss at the current weights, recorded (so losses[0] is the start's,
and what the last step changes isn't seen); gradients; clipping, where there is any; the optimizer with rate
learning_rates[t] of training.json.
    adam    torch.optim.Adam: m and v corrected for their start, p -= rate · m̂ / (sqrt(v̂) + eps).
    adamw   torch.optim.AdamW: first p -= rate · weight_decay · p (not for biases nor LayerNorm's weights),
            then as Adam. Before it torch.nn.utils.clip_grad_norm_: with n the norm over all gradients
            together, every gradient is multiplied by min(1, max_norm / (n + 1e-6)). The rate is
            peak · (t + 1) / 5 for t < 5, then peak · (30 − t) / 25: no step has rate 0 (with transformers'
            get_linear_schedule_with_warmup the first would have).
    sgd     torch.optim.SGD: v = g at the first step and v = momentum · v + g afterwards, p -= rate · v.
A tied parameter is one parameter.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM
from transformers.utils import logging

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))
from packed_batch import model_inputs, pack  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parent / "bert_small"
STEPS = 30
# The rates let the loss fall visibly, but not so fast that a difference of rounding grows by orders of
# magnitude on its way: at several times these rates, of two correct f32 programs one may be ten times as far
# from f64 as the other.
RUNS = {
    "adam": {"learning_rate": 0.001, "betas": [0.9, 0.999], "eps": 1e-8},
    "adamw": {
        "learning_rate": 0.002,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.01,
        "max_norm": 1.0,
        "warmup_steps": 5,
    },
    "sgd": {"learning_rate": 0.01, "momentum": 0.9},
}


def small_bert(generator):
    """Random weights far from zero everywhere: a small one would hide an error in what it multiplies."""
    config = BertConfig(
        vocab_size=61,
        hidden_size=24,
        num_attention_heads=3,
        num_hidden_layers=2,
        intermediate_size=40,
        max_position_embeddings=16,
        type_vocab_size=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config._attn_implementation = "eager"
    model = BertForMaskedLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            center = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            parameter.copy_(center + 0.3 * torch.randn(parameter.shape, generator=generator))
    return model.double()


def ragged_batch(config, generator):
    """Four sequences, one of a single token and one as long as positions reach, in packed layout."""
    lengths = torch.tensor([7, 16, 1, 11])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    tokens = int(offsets[-1])
    # Id 0 is the padding, whose lookup transformers gives no gradient: it may not be a real token here. With
    # fewer ids than tokens some occur more than once.
    ids = torch.randint(1, 30, (tokens,), generator=generator)
    types = torch.cat([(torch.arange(n) >= (n + 1) // 2).long() for n in lengths])
    scored = torch.randperm(tokens, generator=generator)[:13].sort().values
    return {
        "ids": ids.int(),
        "offsets": offsets,
        "token_type_ids": types.int(),
        "scored_rows": scored.int(),
        "labels": torch.randint(1, config.vocab_size, (len(scored),), generator=generator).int(),
    }


def results(model, batch):
    inputs = model_inputs(batch)
    output = model(**inputs, output_hidden_states=True)
    output.loss.backward()
    expected = {
        "loss": output.loss.detach(),
        "last_hidden_state": pack(output.hidden_states[-1].detach(), batch["offsets"]),
        "logits": pack(output.logits.detach(), batch["offsets"])[batch["scored_rows"].long()],
    }
    expected |= {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()}
    return {name: value.contiguous() for name, value in expected.items()}


def decay_groups(model, weight_decay):
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        (plain if name.endswith("bias") or "LayerNorm" in name else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def make_optimizer(run, model):
    settings = RUNS[run]
    rate = settings["learning_rate"]
    if run == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=settings["momentum"])
    adam = {"lr": rate, "betas": tuple(settings["betas"]), "eps": settings["eps"]}
    if run == "adam":
        return torch.optim.Adam(model.parameters(), **adam)
    return torch.optim.AdamW(decay_groups(model, settings["weight_decay"]), **adam)


def train(run, dtype, batch):
    """The losses, the rates and the norms of the gradient before clipping, each of STEPS steps."""
    model = BertForMaskedLM.from_pretrained(TARGET, dtype=dtype, attn_implementation="eager").train()
    inputs = model_inputs(batch)
    optimizer = make_optimizer(run, model)
    warmup = RUNS[run].get("warmup_steps")
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda t: 1 if warmup is None else (t + 1) / warmup if t < warmup else (STEPS - t) / (STEPS - warmup),
    )
    losses, rates, norms = [], [], []
    for _ in range(STEPS):
        loss = model(**inputs).loss
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        max_norm = RUNS[run].get("max_norm", float("inf"))
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)))
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return torch.stack(losses), rates, norms


def main():
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    generator = torch.Generator().manual_seed(3)
    TARGET.mkdir(parents=True, exist_ok=True)
    model = small_bert(generator)
    model.save_pretrained(TARGET)
    (TARGET / "generation_config.json").unlink(missing_ok=True)
    batch = ragged_batch(model.config, generator)
    expected = batch | results(model, batch)
    training = {"steps": STEPS, "runs": {}}
    for run, settings in RUNS.items():
        losses64, rates, norms = train(run, torch.float64, batch)
        losses32, _, _ = train(run, torch.float32, batch)
        expected |= {f"losses.{run}.f64": losses64, f"losses.{run}.f32": losses32}
        training["runs"][run] = settings | {"learning_rates": rates}
        apart = float((losses64 - losses32.double()).abs().max())
        print(f"{run}: loss {losses64[0]:.4f} to {losses64[-1]:.4f}, f32 and f64 apart by {apart:.2e}, "
              f"norm of the gradient {min(norms):.2f} to {max(norms):.2f}")
    save_file(expected, TARGET / "expected.safetensors")
    (TARGET / "training.json").write_text(json.dumps(training, indent=1) + "\n")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
