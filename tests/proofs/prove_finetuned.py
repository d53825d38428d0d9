#!/usr/bin/env python3
"""Fine-tuned directories from bertie to transformers and back; see prove_finetuned.sh, which runs it.

What is expected of a text is computed from transformers' logits here, without bertie's code and without transformers'
pipelines, which print fewer digits.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from transformers import (AutoModelForQuestionAnswering, AutoModelForSequenceClassification,
                          AutoModelForTokenClassification, AutoTokenizer, BertConfig, BertForPreTraining, BertTokenizer)
from transformers.utils import logging

TEXTS, ROWS, ALLOWED = 200, 192, 1e-5
LENGTH, STRIDE, LONGEST_ANSWER, N_BEST = 40, 12, 30, 20
THINGS = "cat dog bird house tree river".split()
NAMES = "anna bob clara dan".split()
CITIES = "bern kiel oslo".split()
OTHERS = "the is was good fine bad poor saw near who did a of in".split()
PIECES = "s ing ed er".split()
MARKS = ". , ! ? - ( ) '".split()
CLASSES = ["bad", "good", "mixed", "Straße"]
TAGS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
MODELS = {
    "classify": AutoModelForSequenceClassification, "pairs": AutoModelForSequenceClassification,
    "several": AutoModelForSequenceClassification, "regress": AutoModelForSequenceClassification,
    "tag": AutoModelForTokenClassification, "answer": AutoModelForQuestionAnswering,
}


# --- data


def words(rng, most):
    chosen = []
    for _ in range(rng.randint(1, most)):
        word = rng.choice(rng.choice([THINGS, NAMES, CITIES, OTHERS]))
        if rng.random() < 0.2:
            word += rng.choice(PIECES)
        if rng.random() < 0.2:
            word = word.capitalize()
        if rng.random() < 0.05:
            word = rng.choice(["café", "Ünknown", "日本", "x-ray", "🙂", "3.5", "e\u0301tude"])
        chosen.append(word)
        if rng.random() < 0.15:
            chosen.append(rng.choice(MARKS))
    return chosen


def text(rng, most=10):
    return rng.choice([" ", " ", "  "]).join(words(rng, most))


def score(sentence):
    """What the labels follow from, so that there is something to learn."""
    return sum(sentence.lower().count(word) for word in THINGS) - sum(sentence.lower().count(word) for word in NAMES)


def label_of(sentence):
    """Of each of the four enough that none is told of all texts."""
    return min(max(score(sentence) + 1, 0), 3)


def tags(sentence):
    found, before = [], "O"
    for word in sentence:
        kind = next((kind for kind, group in (("PER", NAMES), ("LOC", CITIES)) if word.lower() in group), None)
        found.append("O" if kind is None else f"{'I' if before.endswith(kind) else 'B'}-{kind}")
        before = found[-1]
    return found


def question(rng):
    context = words(rng, 60)
    end = rng.randint(1, len(context))
    begin = rng.randint(max(0, end - 3), end - 1)
    before = "".join(word + " " for word in context[:begin])
    return {"question": text(rng, 5), "context": " ".join(context), "answer": " ".join(context[begin:end]),
            "begin": len(before)}


def write_rows(path, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def training_file(task, path, rng):
    if task == "tag":
        sentences = [words(rng, 10) for _ in range(ROWS)]
        path.write_text("".join("".join(f"{word} {tag}\n" for word, tag in zip(sentence, tags(sentence))) + "\n"
                                for sentence in sentences))
    elif task == "answer":
        rows = [question(rng) for _ in range(ROWS)]
        path.write_text(json.dumps({"data": [{"paragraphs": [{"context": row["context"], "qas": [{
            "id": str(i), "question": row["question"],
            "answers": [{"text": row["answer"], "answer_start": row["begin"]}]}]} for i, row in enumerate(rows)]}]}))
    else:
        label = {
            "classify": lambda s: CLASSES[label_of(s)], "pairs": lambda s: CLASSES[label_of(s)],
            "several": lambda s: ",".join(name for i, name in enumerate(CLASSES) if (score(s) >> i) & 1),
            "regress": lambda s: score(s) / 2,
        }[task]
        texts = [text(rng) for _ in range(ROWS)]
        write_rows(path, [([one, text(rng, 6)] if task == "pairs" else [one]) + [label(one)] for one in texts])


# --- what transformers says


def logits_of(model, inputs):
    with torch.no_grad():
        return model(**inputs)


def labels_of(model, tokenizer, row):
    encoded = tokenizer(*row, return_tensors="pt", truncation="longest_first", max_length=LENGTH)
    logits = logits_of(model, encoded).logits[0].double()
    names = [model.config.id2label[i] for i in range(len(logits))]
    if model.config.problem_type == "regression":
        return {"value": float(logits[0])}
    if model.config.problem_type == "multi_label_classification":
        p = logits.sigmoid()
        likely = [name for name, one in zip(names, p) if one > 0.5]
        return {"labels": likely, "probabilities": dict(zip(names, p.tolist()))}
    p = logits.softmax(0)
    return {"label": names[int(p.argmax())], "probabilities": dict(zip(names, p.tolist()))}


def entities_of(model, tokenizer, row):
    encoded = tokenizer(row[0], return_tensors="pt", return_offsets_mapping=True)
    word_ids, offsets = encoded.word_ids(), encoded.pop("offset_mapping")[0].tolist()
    p = logits_of(model, encoded).logits[0].double().softmax(-1)
    entities, before = [], "O"
    for word in range(max((i for i in word_ids if i is not None), default=-1) + 1):
        tokens = [i for i, other in enumerate(word_ids) if other == word]
        best = int(p[tokens[0]].argmax())
        tag = model.config.id2label[best]
        if tag != "O":
            if tag[0] == "B" or before == "O" or before[2:] != tag[2:]:
                entities.append({"type": tag[2:], "begin": offsets[tokens[0]][0], "words": []})
            entities[-1]["end"] = offsets[tokens[-1]][1]
            entities[-1]["words"].append(float(p[tokens[0]][best]))
        before = tag
    return {"entities": [{"type": one["type"], "text": row[0][one["begin"] : one["end"]], "begin": one["begin"],
                          "end": one["end"], "probability": sum(one["words"]) / len(one["words"])} for one in entities]}


def answer_of(model, tokenizer, row):
    encoded = tokenizer(row[0].lstrip(), row[1], truncation="only_second", max_length=LENGTH, stride=STRIDE,
                        return_overflowing_tokens=True, return_offsets_mapping=True)
    answers = []
    for window, offsets in enumerate(encoded["offset_mapping"]):
        inputs = {name: torch.tensor([encoded[name][window]])
                  for name in ("input_ids", "token_type_ids", "attention_mask")}
        output = logits_of(model, inputs)
        starts, ends = output.start_logits[0].double(), output.end_logits[0].double()
        of_context = [text == 1 for text in encoded.sequence_ids(window)]
        for start in starts.argsort(descending=True)[:N_BEST].tolist():
            for end in ends.argsort(descending=True)[:N_BEST].tolist():
                if of_context[start] and of_context[end] and start <= end < start + LONGEST_ANSWER:
                    answers.append((float(starts[start] + ends[end]), offsets[start][0], offsets[end][1]))
    answers = sorted(answers, key=lambda answer: -answer[0])[:N_BEST]
    p = torch.tensor([answer[0] for answer in answers], dtype=torch.float64).softmax(0)
    _, begin, end = answers[0]
    return {"answer": row[1][begin:end], "begin": begin, "end": end, "probability": float(p[0])}


# --- comparison


def difference(ours, theirs, where):
    """The largest difference of numbers; everything else must be equal."""
    if isinstance(theirs, float):
        return abs(ours - theirs)
    if type(ours) is not type(theirs) or (isinstance(ours, (dict, list)) and len(ours) != len(theirs)):
        sys.exit(f"{where}: {ours} and {theirs}")
    if isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            sys.exit(f"{where}: {ours} and {theirs}")
        return max((difference(ours[key], theirs[key], where) for key in theirs), default=0)
    if isinstance(theirs, list):
        return max((difference(*pair, where) for pair in zip(ours, theirs)), default=0)
    if ours != theirs:
        sys.exit(f"{where}: {ours} and {theirs}")
    return 0


def compare(task, folder, scratch, programs, rng):
    """bert_predict beside transformers on 200 texts, with the model of a folder."""
    rows = [[text(rng)] for _ in range(TEXTS)]
    if task == "pairs":
        rows = [[text(rng, 30), text(rng, 30)] for _ in range(TEXTS)]  # some are cut
    elif task == "answer":
        rows = [[one["question"], one["context"]] for one in (question(rng) for _ in range(TEXTS))]
    else:
        rows[5] = [""]
    write_rows(scratch / "input.tsv", rows)
    command = [programs / "bert_predict", "--model", folder, "--input", scratch / "input.tsv", "--json", "--max-length",
               str(LENGTH)]
    if task == "answer":
        command += ["--stride", str(STRIDE), "--max-answer-length", str(LONGEST_ANSWER)]
    elif task == "pairs":
        command += ["--pairs"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{task}: {run.stderr}")
    predicted = [json.loads(line) for line in run.stdout.splitlines()]
    if len(predicted) != len(rows):
        sys.exit(f"{task}: {len(predicted)} results for {len(rows)} texts")
    model, info = MODELS[task].from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    if any(info.values()):
        sys.exit(f"{task}: transformers loads it, but: {info}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expect = {"tag": entities_of, "answer": answer_of}.get(task, labels_of)
    expected = [expect(model.eval(), tokenizer, row) for row in rows]
    worst = max(difference(ours, theirs, f"{task}, {row}") for ours, theirs, row in zip(predicted, expected, rows))
    kinds = {str(one.get("label") or one.get("labels") or one.get("answer") or one.get("value") or
                 [entity["type"] for entity in one.get("entities", [])]) for one in expected}
    if len(kinds) < 2:
        sys.exit(f"{task}: the model says the same of every text")
    if not worst <= ALLOWED:
        sys.exit(f"{task}: {worst:.1e} apart, {ALLOWED:.0e} allowed")
    return f"{TEXTS} texts, {len(kinds)} different results, numbers apart by {worst:.1e}"


def train_here(task, base, folder, rng):
    """A few steps of transformers' own; what is learned doesn't matter, how it is saved does."""
    names = TAGS if task == "tag" else CLASSES
    settings = {} if task == "answer" else {"id2label": dict(enumerate(names)),
                                            "label2id": {name: i for i, name in enumerate(names)}}
    if task == "several":
        settings["problem_type"] = "multi_label_classification"
    if task == "regress":
        settings = {"num_labels": 1}  # for which transformers takes a regression
    model = MODELS[task].from_pretrained(base, **settings).train()
    tokenizer = AutoTokenizer.from_pretrained(base)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(300):
        texts = [text(rng) for _ in range(16)]
        if task == "pairs":
            inputs = tokenizer(texts, [text(rng) for _ in texts], return_tensors="pt", padding=True, max_length=LENGTH,
                               truncation=True)
        else:
            inputs = tokenizer(texts, return_tensors="pt", padding=True, max_length=LENGTH, truncation=True)
        ids, scores = inputs["input_ids"], torch.tensor([score(one) for one in texts])
        if task == "tag":
            inputs["labels"] = torch.where(inputs["attention_mask"] == 1, ids % len(TAGS), -100)
        elif task == "answer":
            inputs["start_positions"] = ids.argmax(1)
            inputs["end_positions"] = inputs["start_positions"]
        elif task == "regress":
            inputs["labels"] = scores / 2
        elif task == "several":
            inputs["labels"] = torch.stack([(scores >> i) & 1 for i in range(4)], 1).float()
        else:
            inputs["labels"] = torch.tensor([label_of(one) for one in texts])
        loss = model(**inputs).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train_with_bertie(task, base, folder, scratch, programs, rng):
    name = {"tag": "train.conll", "answer": "train.json"}.get(task, "train.tsv")
    for part in ("train", "dev"):
        training_file(task, scratch / name.replace("train", part), rng)
    kind = {"pairs": ["classify", "--pairs"], "several": ["classify", "--multi-label"]}.get(task, [task])
    options = ["--stride", str(STRIDE)] if task == "answer" else []
    run = subprocess.run(
        [programs / "bert_finetune", "--task", *kind, "--model", base, "--train", scratch / name, "--dev",
         scratch / name.replace("train", "dev"), "--output", folder, "--learning-rate", "2e-3", "--epochs",
         "20", "--max-length", str(LENGTH), *options], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{task}: {run.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, type=pathlib.Path, help="folder of bert_finetune and bert_predict")
    parser.add_argument("tasks", nargs="*", default=list(MODELS), metavar="TASK", help=f"of {', '.join(MODELS)}")
    options = parser.parse_args()
    programs = options.programs.resolve()
    torch.manual_seed(7)
    rng = random.Random(7)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *THINGS, *NAMES, *CITIES, *OTHERS, "cafe", "x", "ray",
                  "3", "5", *MARKS, *(f"##{piece}" for piece in PIECES)]
    vocabulary += [letter for letter in "bcefghijklmnopqrtuvwyz" if letter not in vocabulary]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" if f"##{letter}" not in vocabulary]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        base = scratch / "base"
        config = BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_attention_heads=2, num_hidden_layers=2,
                            intermediate_size=64, max_position_embeddings=64, initializer_range=0.1)
        BertForPreTraining(config).save_pretrained(base)
        BertTokenizer(vocab={token: i for i, token in enumerate(vocabulary)}).save_pretrained(base)
        for task in options.tasks:
            folder = scratch / f"bertie-{task}"
            train_with_bertie(task, base, folder, scratch, programs, rng)
            print(f"{task:<10} of bertie:       {compare(task, folder, scratch, programs, rng)}", flush=True)
            folder = scratch / f"transformers-{task}"
            train_here(task, base, folder, rng)
            print(f"{task:<10} of transformers: {compare(task, folder, scratch, programs, rng)}", flush=True)


if __name__ == "__main__":
    main()
