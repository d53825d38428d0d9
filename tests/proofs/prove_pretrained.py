#!/usr/bin/env python3
"""Model directories from transformers to bertie and back; see prove_pretrained.sh, which runs it."""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertTokenizer
from transformers.utils import logging

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
from packed_batch import pack, pad  # noqa: E402

HEADS = [
    "BertModel", "BertForPreTraining", "BertForMaskedLM", "BertForNextSentencePrediction",
    "BertForSequenceClassification", "BertForTokenClassification", "BertForQuestionAnswering", "BertForMultipleChoice",
]
TEXTS = ["Hello, how are you?", "Thé [MASK] — naïve 日本 co-operates…", "unaffable 12.5% #tag \u200b x" * 3]


def build(architecture, settings, spread):
    """The model with random weights: transformers' own start, or, with a `spread`, ones further from zero."""
    model = getattr(transformers, architecture)(BertConfig(**settings, attn_implementation="eager")).eval()
    if spread:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(name.endswith("LayerNorm.weight") + spread * torch.randn(parameter.shape))
    return model


def ragged_batch(config, lengths):
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.tensor(lengths).cumsum(0)])
    tokens = int(offsets[-1])
    ids = torch.randint(1, config.vocab_size, (tokens,))
    types = torch.cat([(torch.arange(n) > n // 2).long() for n in lengths])
    return {"ids": ids.int(), "token_type_ids": types.int(), "offsets": offsets}


def outputs_of(model, batch):
    """What transformers computes, in packed layout."""
    ids, offsets = batch["ids"].long(), batch["offsets"]
    inputs = {
        "input_ids": pad(ids, offsets),
        "attention_mask": pad(torch.ones_like(ids), offsets),
        "token_type_ids": pad(batch["token_type_ids"].long(), offsets),
    }
    if "MultipleChoice" in type(model).__name__:
        inputs = {key: value.reshape(-1, 2, value.shape[-1]) for key, value in inputs.items()}
    with torch.no_grad():
        found = model(**inputs)
    padded = inputs["input_ids"].shape
    return {key: pack(value, offsets) if value.shape[:2] == padded else value for key, value in found.items()
            if key.endswith("logits") or key in ("last_hidden_state", "pooler_output")}


def compare(what, ours, theirs, allowed):
    if ours.keys() != theirs.keys():
        sys.exit(f"{what}: {sorted(ours)} and {sorted(theirs)}")
    worst = float(torch.stack([(ours[key] - theirs[key]).abs().max() for key in ours]).max())  # NaN stays
    if not worst <= allowed:
        sys.exit(f"{what}: outputs are {worst:.2e} apart, {allowed:.0e} allowed")
    return worst


def prove(name, architecture, settings, spread, lengths, allowed, arguments):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        original, copy = folder / "original", folder / "copy"
        model = build(architecture, settings, spread)
        model.save_pretrained(original)
        shutil.copy(arguments.vocab, original / "vocab.txt")
        tokenizer = BertTokenizer(str(arguments.vocab))
        batch = ragged_batch(model.config, lengths)
        save_file(batch, folder / "batch.safetensors")
        expected = outputs_of(model, batch)
        # A second time from its own copy onto itself: the mapped file is replaced while it is in use.
        for source, target in ((original, copy), (copy, copy)):
            run = subprocess.run([arguments.program, source, folder / "batch.safetensors",
                                  folder / "outputs.safetensors", target], capture_output=True, text=True)
            if run.returncode != 0 or run.stdout:
                sys.exit(f"{name}: {run.stdout}{run.stderr}")
            apart = compare(name, load_file(folder / "outputs.safetensors"), expected, allowed)
        loaded, info = getattr(transformers, architecture).from_pretrained(
            copy, output_loading_info=True, attn_implementation="eager")
        if any(info.values()):
            sys.exit(f"{name}: transformers loads the copy, but: {info}")
        compare(f"{name} loaded again", outputs_of(loaded.eval(), batch), expected, 0)
        before, after = model.config.to_dict(), loaded.config.to_dict()
        for key in ("architectures", "_name_or_path", "transformers_version"):
            before.pop(key, None), after.pop(key, None)
        changed = {key: (before[key], after.get(key)) for key in before if before[key] != after.get(key)}
        if changed:
            sys.exit(f"{name}: the configuration came back changed: {changed}")
        copied = BertTokenizer.from_pretrained(copy)
        for text in TEXTS:
            if tokenizer(text)["input_ids"] != copied(text)["input_ids"]:
                sys.exit(f"{name}: '{text}' has other tokens")
        size = max(float(value.abs().max()) for value in expected.values())
        print(f"{name:<45} outputs up to {size:6.2f}, apart by {apart:.1e} (allowed {allowed:.0e}); back in transformers "
              "the same")


def prove_start(entries, arguments):
    """How soon BERT-base has embedded a word, and how much memory it has ready for more than one text."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        build("BertModel", {"vocab_size": entries}, 0).save_pretrained(folder)
        shutil.copy(arguments.vocab, folder / "vocab.txt")
        embed = [arguments.embed, "--model", folder, "--pool", "mean"]
        seconds = []
        for _ in range(5):  # the first may read the file from the disk
            start = time.monotonic()
            subprocess.run([*embed, "--text", "hello"], check=True, capture_output=True)
            seconds.append(time.monotonic() - start)
        run = subprocess.Popen([*embed, "--input", "/dev/stdin", "--output", folder / "out.npy"], stdin=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
        time.sleep(1)  # by now it waits for a line
        rows = pathlib.Path(f"/proc/{run.pid}/smaps_rollup").read_text().splitlines()
        resident = next(int(row.split()[1]) for row in rows if row.startswith("Rss:"))
        run.communicate(b"hello\n")
        if run.returncode != 0:
            sys.exit("bert_embed failed")
        file = (folder / "model.safetensors").stat().st_size
        print(f"BERT-base, {file / 1e6:.0f} MB: bert_embed has embedded 'hello' {sorted(seconds)[2]:.2f} s after its "
              f"start ({min(seconds):.2f} … {max(seconds):.2f}); for --input it has {resident / 1e3:.0f} MB before the first line")
        if resident * 1024 > 1.25 * file:
            sys.exit("the weights are there twice")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, type=pathlib.Path, help="build/…/tests/bert_outputs")
    parser.add_argument("--embed", required=True, type=pathlib.Path, help="build/…/bert_embed")
    parser.add_argument("--vocab", required=True, type=pathlib.Path, help="vocab.txt")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    entries = len(arguments.vocab.read_text().splitlines())
    small = dict(vocab_size=entries, hidden_size=36, num_attention_heads=3, num_hidden_layers=2, intermediate_size=50,
                 max_position_embeddings=64)
    labels = ["O", "B-PER", "I-PER", "Straße"]
    named = small | {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    for head in HEADS:
        settings = named if head in ("BertForTokenClassification", "BertForSequenceClassification") else small
        prove(head, head, settings, 0.2, [9, 64, 2, 31], 1e-5, arguments)
    for head in ("BertForMaskedLM", "BertForPreTraining"):
        prove(f"{head}, untied decoder", head, small | {"tie_word_embeddings": False}, 0.2, [9, 64, 2, 31], 1e-5,
              arguments)
    settings = small | {"num_labels": 3, "problem_type": "multi_label_classification", "classifier_dropout": 0.25,
                        "hidden_act": "gelu_new"}
    prove("BertForSequenceClassification, several labels", "BertForSequenceClassification", settings, 0.2, [9, 64], 1e-5,
          arguments)
    base = {"vocab_size": entries}
    prove("BERT-base, BertForMaskedLM", "BertForMaskedLM", base, 0, [5, 128, 33], 2e-5, arguments)
    prove("BERT-base, BertForPreTraining", "BertForPreTraining", base, 0, [17, 64], 2e-5, arguments)
    prove_start(entries, arguments)


if __name__ == "__main__":
    main()
