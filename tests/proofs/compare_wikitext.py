#!/usr/bin/env python3
"""Repeats a run of bert_pretrain by PyTorch and transformers, and compares.

    compare_wikitext.py train --run DIR --learning-rate R --warmup W --threads N
    compare_wikitext.py compare DIR

train   DIR has what write_mlm_run wrote (start, batches.safetensors, held_out.safetensors), bertie, the trained model
        with its metrics.jsonl. PyTorch trains BertForMaskedLM from the same start on the same batches in f32 without
        dropout; its model goes to DIR/pytorch. Then one evaluator, transformers', scores both models on all of the
        held-out text. All figures go to DIR/result.json.
compare prints the figures of all such runs in folders of DIR, with the machine's rates in their sgemm.jsonl, and
        passes (exit 0; otherwise 1) where in each the losses of the first 100 steps agree to 1e-3, and the means of
        the held-out losses to 0.03 nat.

PyTorch's run: torch's fused AdamW (weight decay 0.01, none for biases and LayerNorm), the gradient's norm clipped to 1,
the rate of step t of N: R · (t + 1) / W for t < W, then R · (N − t) / (N − W), and transformers' own attention and
loss (labels of −100 where nothing is scored). Each batch is padded to its longest sequence, with a mask. That is done
before the clock starts, so a timed step is forward, loss, backward, clipping, update, and nothing else. bertie's time
is that of bert_pretrain's training loop, evaluations apart, with batches, metrics and progress line.

torch.nn.utils.clip_grad_norm_ adds the squares of f32 gradients up in f32; on a CPU the norm of a BERT's comes out
too small by 1e-4 to 9e-4 of itself, at each step differently (docs/results.md). After some 60 steps the losses
differ by more than 1e-3. So the first 100 are compared with a second run of PyTorch's, which differs in the norm alone: it is summed
in f64. What the first run's losses differ by is printed, too.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import torch
from safetensors.torch import load_file
from transformers import BertForMaskedLM
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests/models/reference")]
from make_bert_reference import decay_groups  # noqa: E402
from packed_batch import model_inputs  # noqa: E402

FIRST, LOSSES_MAY_DIFFER, MEANS_MAY_DIFFER = 100, 1e-3, 0.03


def load_batches(path):
    """The inputs of each batch, padded; and how many tokens they have, without and with padding."""
    tensors = load_file(path)
    batches = []
    for b in range(len([name for name in tensors if name.endswith(".ids")])):
        prefix = f"{b}."
        packed = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        batches.append(model_inputs(packed))
    masks = [batch["attention_mask"] for batch in batches]
    return batches, sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)


def load_model(folder, dtype=torch.float32):
    # Without this check transformers would fill a missing weight with random numbers and only warn of it.
    model, loading = BertForMaskedLM.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    wrong = {kind: sorted(map(str, names)) for kind, names in loading.items() if names}
    if wrong:
        sys.exit(f"compare_wikitext: {folder} is not a whole BertForMaskedLM: {wrong}")
    assert not model.config.hidden_dropout_prob and not model.config.attention_probs_dropout_prob
    return model


def largest_difference(some, others):
    """Of those that stand in both."""
    return max(abs(a - b) for a, b in zip(some, others))


def clip_by_exact_norm(parameters, max_norm):
    parameters = list(parameters)
    norms = [torch.linalg.vector_norm(parameter.grad, dtype=torch.float64) for parameter in parameters]
    torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, torch.linalg.vector_norm(torch.stack(norms)))


def train(model, batches, rates, clip=torch.nn.utils.clip_grad_norm_):
    """The losses, each before its step's update, and the loop's seconds."""
    model.train()
    optimizer = torch.optim.AdamW(decay_groups(model, 0.01), lr=0.0, fused=True)
    losses = []
    start = time.perf_counter()
    for inputs, rate in zip(batches, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        clip(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) % 100 == 0:
            print(f"PyTorch step {len(losses)}/{len(rates)}, loss {losses[-1]:.4f}", file=sys.stderr)
    return losses, time.perf_counter() - start


def held_out_loss(model, batches):
    """Mean over all scored positions."""
    model.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for inputs in batches:
            labels = inputs["labels"]
            scored = labels != -100
            without_labels = {name: value for name, value in inputs.items() if name != "labels"}
            logits = model.cls(model.bert(**without_labels).last_hidden_state[scored])
            total += torch.nn.functional.cross_entropy(logits, labels[scored], reduction="sum").item()
            count += int(scored.sum())
    return total / count


def run_training(options):
    torch.set_num_threads(options.threads)
    run = options.run
    batches, tokens, padded = load_batches(run / "batches.safetensors")
    steps, warmup = len(batches), options.warmup
    rates = [options.learning_rate * ((t + 1) / warmup if t < warmup else (steps - t) / (steps - warmup))
             for t in range(steps)]
    records = [json.loads(line) for line in (run / "bertie/metrics.jsonl").read_text().splitlines()]
    steps_of_bertie = [record for record in records if record["kind"] == "training"]
    for t, (record, rate) in enumerate(zip(steps_of_bertie, rates, strict=True)):
        assert record["step"] == t + 1 and abs(record["learning_rate"] - rate) <= 1e-9 * rate, record
    assert steps_of_bertie[-1]["tokens"] == tokens

    ours = [record["loss"] for record in steps_of_bertie]
    exact_norm, _ = train(load_model(run / "start"), batches[:FIRST], rates[:FIRST], clip_by_exact_norm)
    apart = largest_difference(ours, exact_norm)
    print(f"first {len(exact_norm)} losses apart by at most {apart:.2e}", file=sys.stderr)
    model = load_model(run / "start")
    losses, seconds = train(model, batches, rates)
    model.save_pretrained(run / "pytorch")
    held_out, held_out_tokens, _ = load_batches(run / "held_out.safetensors")
    result = {
        "steps": steps,
        "threads": options.threads,
        "tokens": tokens,
        "padded_tokens": padded,
        "held_out_tokens": held_out_tokens,
        "bertie": {
            "seconds": steps_of_bertie[-1]["seconds"],
            "held_out_loss": held_out_loss(load_model(run / "bertie"), held_out),
            "losses": ours,
        },
        "pytorch": {
            "seconds": seconds,
            "held_out_loss": held_out_loss(model, held_out),
            "losses": losses,
            "losses_by_exact_norm": exact_norm,
        },
    }
    if options.reference_steps:
        count = options.reference_steps
        result["f64_losses"], _ = train(load_model(run / "start", torch.float64), batches[:count], rates[:count])
    (run / "result.json").write_text(json.dumps(result, indent=1) + "\n")


def compare(folder):
    results = {path.parent: json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))}
    passed = True
    for run, r in results.items():
        ours, theirs = r["bertie"], r["pytorch"]
        exact_norm = theirs["losses_by_exact_norm"]
        apart = largest_difference(ours["losses"], exact_norm)
        passed = passed and apart <= LOSSES_MAY_DIFFER  # false where one is no number
        print(f"{run}: {r['steps']} steps, {r['tokens']:,} tokens; PyTorch's batches have {r['padded_tokens']:,}, "
              f"{100 * (1 - r['tokens'] / r['padded_tokens']):.1f} % padding")
        print(f"  first loss {ours['losses'][0]:.6f}, {theirs['losses'][0]:.6f}; the first {len(exact_norm)} apart by "
              f"at most {apart:.2e} (allowed {LOSSES_MAY_DIFFER:.0e}), from those with torch's own norm by "
              f"{largest_difference(ours['losses'][:FIRST], theirs['losses']):.2e}")
        if "f64_losses" in r:
            f64 = r["f64_losses"]
            print(f"  from the first {len(f64)} losses of PyTorch in f64: bertie "
                  f"{largest_difference(ours['losses'], f64):.2e}, PyTorch {largest_difference(exact_norm, f64):.2e}, "
                  f"with torch's own norm {largest_difference(theirs['losses'], f64):.2e}")
        print(f"  held-out loss {ours['held_out_loss']:.4f}, {theirs['held_out_loss']:.4f}, on "
              f"{r['held_out_tokens']:,} tokens")
        rates = [json.loads(line)["sgemm_gflops"] for line in (run / "sgemm.jsonl").read_text().splitlines()]
        sgemm = ", ".join(f"{rate:.0f}" for rate in rates)
        print(f"  {ours['seconds']:.1f} s, {theirs['seconds']:.1f} s on {r['threads']} threads: PyTorch takes "
              f"{theirs['seconds'] / ours['seconds']:.2f} times as long; sgemm before, between, after: {sgemm} GFLOP/s")
    means = [statistics.mean(r[who]["held_out_loss"] for r in results.values()) for who in ("bertie", "pytorch")]
    difference = abs(means[0] - means[1])
    passed = passed and difference <= MEANS_MAY_DIFFER
    print(f"means of {len(results)} held-out losses: bertie {means[0]:.4f}, PyTorch {means[1]:.4f}, apart by "
          f"{difference:.4f} (allowed {MEANS_MAY_DIFFER}): {'passed' if passed else 'FAILED'}")
    sys.exit(0 if passed else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--run", required=True, type=pathlib.Path)
    training.add_argument("--learning-rate", required=True, type=float)
    training.add_argument("--warmup", required=True, type=int)
    training.add_argument("--threads", required=True, type=int)
    training.add_argument("--reference-steps", type=int, default=0, help="so many steps once more in f64")
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
