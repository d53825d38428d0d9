#!/usr/bin/env python3
"""Fine-tunes transformers' models on bertie's own batches: tests/models/reference/finetuning.

tests/proofs/finetuning_data.cpp has put the start and data.safetensors there and says what it holds. This adds

    losses.safetensors  TASK.f64 and TASK.f32 [30]: the loss at each step, before its update, as the model's class
                        computes it, by torch on one thread

and prints the norms of the gradient. The run: AdamW (weight decay 0.01, none for biases and LayerNorm), the norm clipped
to 1, the rate 0.005 · (t + 1) / 6 for t < 6, then 0.005 · (30 − t) / 24.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils.rnn import pad_sequence
from transformers import BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification
from transformers.utils import logging

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))
from make_bert_reference import decay_groups  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parent / "finetuning"
STEPS, WARMUP, PEAK = 30, 6, 5e-3
TASKS = {
    "classify": (BertForSequenceClassification, {"num_labels": 3, "problem_type": "single_label_classification"}),
    "several": (BertForSequenceClassification, {"num_labels": 3, "problem_type": "multi_label_classification"}),
    "regress": (BertForSequenceClassification, {"num_labels": 1, "problem_type": "regression"}),
    "tag": (BertForTokenClassification, {"num_labels": 3}),
    "answer": (BertForQuestionAnswering, {}),
}


def start_of(task, dtype, data):
    architecture, settings = TASKS[task]
    model = architecture.from_pretrained(TARGET, dtype=dtype, attn_implementation="eager", **settings).train()
    assert not model.config.hidden_dropout_prob and not model.config.attention_probs_dropout_prob
    prefix = f"{task}.head."
    head = {name.removeprefix(prefix): value for name, value in data.items() if name.startswith(prefix)}
    missing, unexpected = model.load_state_dict(head, strict=False)
    assert not unexpected and all(name.startswith("bert.") for name in missing)
    return model


def batch_of(task, dtype, data, step):
    """Keyword arguments of the model, padded."""
    of = {name: data[f"{task}.{name}"] for name in ("ids", "offsets", "second_begins", "labels")}
    chosen = data["order"][data["step_offsets"][step] : data["step_offsets"][step + 1]]
    places = [slice(int(of["offsets"][n]), int(of["offsets"][n + 1])) for n in chosen]
    ids = [of["ids"][place].long() for place in places]
    types = [(torch.arange(len(row)) >= second).long() for row, second in zip(ids, of["second_begins"][chosen])]
    batch = {
        "input_ids": pad_sequence(ids, batch_first=True),
        "token_type_ids": pad_sequence(types, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
    }
    labels = of["labels"].to(dtype) if of["labels"].is_floating_point() else of["labels"].long()
    if task == "tag":
        return batch | {"labels": pad_sequence([labels[place] for place in places], batch_first=True, padding_value=-100)}
    if task == "answer":
        assert batch["attention_mask"].all()  # else transformers' softmax would be over the padding, too
        return batch | {"start_positions": labels[chosen, 0], "end_positions": labels[chosen, 1]}
    return batch | {"labels": labels[chosen]}


def train(task, dtype, data):
    """The losses and the norms of the gradient, each of STEPS steps."""
    model = start_of(task, dtype, data)
    optimizer = torch.optim.AdamW(decay_groups(model, 0.01), lr=PEAK)
    losses, norms = [], []
    for step in range(STEPS):
        loss = model(**batch_of(task, dtype, data, step)).loss
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK * ((step + 1) / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP))
        optimizer.step()
    return torch.stack(losses), norms


def main():
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # that the head isn't in the directory
    data = load_file(TARGET / "data.safetensors")
    losses = {}
    for task in TASKS:
        for name, dtype in (("f64", torch.float64), ("f32", torch.float32)):
            losses[f"{task}.{name}"], norms = train(task, dtype, data)
        exact = losses[f"{task}.f64"]
        apart = float((exact - losses[f"{task}.f32"].double()).abs().max())
        print(f"{task}: {exact[0]:.12f} to {exact[-1]:.12f}, f32 and f64 apart by {apart:.2e}, norm of the gradient "
              f"{min(norms):.2f} to {max(norms):.2f}")
    save_file(losses, TARGET / "losses.safetensors")


if __name__ == "__main__":
    main()
