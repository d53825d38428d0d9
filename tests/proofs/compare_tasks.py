#!/usr/bin/env python3
"""Fine-tunes as bert_finetune does, by PyTorch and transformers, and compares; see prove_tasks.sh, which runs it.

    compare_tasks.py train --task T --model DIR --train FILE --dev FILE --output DIR --programs DIR ...
    compare_tasks.py compare --score NAME --apart X FOLDER
    compare_tasks.py split XQUAD FOLDER
    compare_tasks.py texts DATA FILE
    compare_tasks.py nulls FOLDER

train   one run of PyTorch's: shuffled batches, each padded to its longest sequence; torch's fused AdamW (weight decay
        0.01, none for biases and LayerNorm), the gradient's norm clipped to 1, the rate up for a tenth of the steps and
        then down to zero, the model's own dropout and transformers' loss. The model of each epoch is scored by
        bert_predict --report. Scores and seconds go to DIR/result.json: the seconds are those of forward, loss,
        backward, clipping, update and of padding the batches; tokenizing and scoring come on top. With --steps so many
        steps of the run alone, for its time. With --pieces the sequences of a batch are computed in so many groups of
        like length: the same gradient with less padding, for runs whose time isn't compared.
compare the runs FOLDER/bertie-SEED and FOLDER/pytorch-SEED: the best score of each run's epochs, their means and how
        far these are apart, and the medians of their seconds.
split   the first three quarters of the articles to FOLDER/xquad_train.json, the others to xquad_dev.json.
texts   what a small BERT is pre-trained on: WikiText-2, Tiny Shakespeare, the sentences of SST-2's training file and
        those movie reviews that are in neither its dev nor its test file.
nulls   FOLDER/nulls_train.json and nulls_dev.json, as SQuAD 2.0 has them: short stories and questions, of which half
        have no answer there, as it is of somebody else, or nobody's.
"""

import argparse
import csv
import json
import math
import pathlib
import random
import re
import statistics
import subprocess
import sys
import time

import torch
from transformers import (AutoModelForQuestionAnswering, AutoModelForSequenceClassification,
                          AutoModelForTokenClassification, AutoTokenizer)
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/models/reference"))
from make_bert_reference import decay_groups  # noqa: E402

MODELS = {"classify": AutoModelForSequenceClassification, "tag": AutoModelForTokenClassification,
          "answer": AutoModelForQuestionAnswering}


def names_to_numbers(names):
    return {name: i for i, name in enumerate(sorted(set(names)))}


def read_texts(path, tokenizer, length):
    """A TSV with a header, sentence and label: the inputs of each row, and the labels' numbers."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    labels = names_to_numbers(row[1] for row in rows)
    encoded = tokenizer([row[0] for row in rows], truncation=True, max_length=length)
    return [{"input_ids": ids, "token_type_ids": types, "labels": labels[row[1]]}
            for ids, types, row in zip(encoded["input_ids"], encoded["token_type_ids"], rows)], labels


def read_tagged(path, tokenizer, length):
    """WikiANN's lines, word and tag. A word's first token carries its tag; the others and special ones have −100."""
    sentences = [[line.split("\t") for line in block.splitlines()]
                 for block in path.read_text(encoding="utf-8").split("\n\n") if block.strip()]
    words = [[word.split(":", 1)[1] for word, _ in sentence] for sentence in sentences]
    labels = names_to_numbers(tag for sentence in sentences for _, tag in sentence)
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=length)
    examples = []
    for i, sentence in enumerate(sentences):
        of_token = encoded.word_ids(i)
        examples.append({
            "input_ids": encoded["input_ids"][i], "token_type_ids": encoded["token_type_ids"][i],
            "labels": [-100 if word is None or word == before else labels[sentence[word][1]]
                       for before, word in zip([None] + of_token, of_token)]})
    return examples, labels


def read_questions(path, tokenizer, length):
    """SQuAD's JSON in windows of the context that share 128 tokens, as run_qa.py makes them."""
    questions = [(question["question"].lstrip(), paragraph["context"], question["answers"])
                 for article in json.loads(path.read_text(encoding="utf-8"))["data"]
                 for paragraph in article["paragraphs"] for question in paragraph["qas"]]
    encoded = tokenizer([q for q, _, _ in questions], [c for _, c, _ in questions], truncation="only_second",
                        max_length=length, stride=min(128, length // 3), return_overflowing_tokens=True,
                        return_offsets_mapping=True)
    examples = []
    for window, of_question in enumerate(encoded["overflow_to_sample_mapping"]):
        answers = questions[of_question][2]
        offsets, texts = encoded["offset_mapping"][window], encoded.sequence_ids(window)
        start = end = 0  # [CLS] where the window has no answer, or not all of it
        if answers:
            begin = answers[0]["answer_start"]
            stop = begin + len(answers[0]["text"])
            holds = [i for i, (offset, text) in enumerate(zip(offsets, texts))
                     if text == 1 and offset[0] < stop and offset[1] > begin]
            if holds and offsets[holds[0]][0] <= begin and offsets[holds[-1]][1] >= stop:
                start, end = holds[0], holds[-1]
        examples.append({"input_ids": encoded["input_ids"][window],
                         "token_type_ids": encoded["token_type_ids"][window],
                         "start_positions": start, "end_positions": end})
    return examples, None


def padded(examples):
    longest = max(len(example["input_ids"]) for example in examples)
    batch = {"attention_mask": torch.tensor([[1] * len(example["input_ids"]) +
                                             [0] * (longest - len(example["input_ids"])) for example in examples])}
    for name in examples[0]:
        values = [example[name] for example in examples]
        if isinstance(values[0], list):
            fill = -100 if name == "labels" else 0
            values = [value + [fill] * (longest - len(value)) for value in values]
        batch[name] = torch.tensor(values)
    return batch


def in_pieces(examples, pieces):
    """Batches of like length that are one together."""
    if pieces > 1:
        examples = sorted(examples, key=lambda example: len(example["input_ids"]))
    size = -(-len(examples) // pieces)
    return [padded(examples[first : first + size]) for first in range(0, len(examples), size)]


def scored(batch):
    """How many labels the loss is the mean of."""
    return int((batch["labels"] != -100).sum()) if "labels" in batch else len(batch["start_positions"])


def scores_of(programs, folder, task, dev, length):
    """What bert_predict --report prints: a name and a number a line, up to the confusion matrix."""
    command = [programs / "bert_predict", "--model", folder, "--report", dev, "--max-length", str(length)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{task}: {run.stderr}")
    return {line.split()[0]: float(line.split()[1]) for line in run.stdout.split("\n\n")[0].splitlines()}


def train(o):
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)
    tokenizer = AutoTokenizer.from_pretrained(o.model)
    read = {"classify": read_texts, "tag": read_tagged, "answer": read_questions}[o.task]
    examples, labels = read(o.train, tokenizer, o.max_length)
    heads = {} if labels is None else {"id2label": {i: name for name, i in labels.items()}, "label2id": labels}
    model = MODELS[o.task].from_pretrained(o.model, attn_implementation="sdpa", **heads).train()
    optimizer = torch.optim.AdamW(decay_groups(model, 0.01), lr=0.0, fused=True)
    steps_of_epoch = -(-len(examples) // o.batch_size)
    steps = o.epochs * steps_of_epoch
    warmup = max(1, round(steps / 10))
    epochs, seconds, step, tokens, with_padding = [], 0.0, 0, 0, 0
    times = []
    while step < (o.steps or steps):
        if step % steps_of_epoch == 0:
            order = rng.sample(examples, len(examples))
        start = time.perf_counter()
        first = step % steps_of_epoch * o.batch_size
        batches = in_pieces(order[first : first + o.batch_size], o.pieces)
        rate = o.learning_rate * ((step + 1) / warmup if step < warmup else (steps - step) / (steps - warmup))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        counts = [scored(batch) for batch in batches]
        for batch, count in zip(batches, counts):
            (model(**batch).loss * (count / sum(counts))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        times.append(time.perf_counter() - start)
        seconds += times[-1]
        tokens += sum(int(batch["attention_mask"].sum()) for batch in batches)
        with_padding += sum(batch["attention_mask"].numel() for batch in batches)
        step += 1
        if step % 200 == 0:
            print(f"PyTorch step {step}/{steps}, {seconds:.0f} s", file=sys.stderr, flush=True)
        if step % steps_of_epoch == 0 and not o.steps:
            model.save_pretrained(o.output)
            tokenizer.save_pretrained(o.output)
            epochs.append(scores_of(o.programs, o.output, o.task, o.dev, o.max_length))
            print(f"PyTorch seed {o.seed}, epoch {len(epochs)}: {epochs[-1]}", file=sys.stderr, flush=True)
    o.output.mkdir(parents=True, exist_ok=True)
    result = {"steps": step, "seconds": seconds, "median_step": statistics.median(times), "tokens": tokens,
              "with_padding": with_padding, "threads": o.threads, "pieces": o.pieces, "epochs": epochs}
    (o.output / "result.json").write_text(json.dumps(result, indent=1) + "\n")


def of_bertie(folder, score):
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    scores = [record["scores"][score] for record in records if record["kind"] == "evaluation" and record["step"]]
    return max(scores), [record["seconds"] for record in records if record["kind"] == "training"][-1]


def of_pytorch(folder, score):
    result = json.loads((folder / "result.json").read_text())
    return max(epoch[score] for epoch in result["epochs"]), result["seconds"] if result["pieces"] == 1 else math.nan


def compare(o):
    runs = {}
    for name, read in (("bertie", of_bertie), ("pytorch", of_pytorch)):
        runs[name] = [read(folder, o.score) for folder in sorted(o.folder.glob(f"{name}-*"))]
        if not runs[name]:
            sys.exit(f"compare_tasks: no {name}-* in {o.folder}")
    means = {name: statistics.mean(score for score, _ in of) for name, of in runs.items()}
    times = {name: statistics.median(seconds for _, seconds in of) for name, of in runs.items()}
    for name, of in runs.items():
        print(f"  {name:<8} {o.score} {', '.join(f'{score:.4f}' for score, _ in of)}; mean {means[name]:.4f}"
              + (f"; {times[name]:.1f} s" if math.isfinite(times[name]) else ""))
    apart = abs(means["bertie"] - means["pytorch"])
    passed = apart <= o.apart
    print(f"  means apart by {apart:.4f} (allowed {o.apart}): {'passed' if passed else 'FAILED'}")
    if math.isfinite(times["pytorch"]):
        print(f"  PyTorch takes {times['pytorch'] / times['bertie']:.2f} times as long")
    sys.exit(0 if passed else 1)


def split(o):
    squad = json.loads(o.xquad.read_text(encoding="utf-8"))
    articles = squad["data"]
    cut = len(articles) * 3 // 4
    for name, part in (("train", articles[:cut]), ("dev", articles[cut:])):
        (o.folder / f"xquad_{name}.json").write_text(json.dumps({**squad, "data": part}))


def texts(o):
    def letters(text):
        return re.sub(r"[^a-z0-9]", "", text.lower())

    def column(name, number):
        return [line.split("\t")[number] for line in (o.data / f"glue/SST-2/{name}.tsv").read_text().splitlines()[1:]]

    held_out = {letters(sentence) for sentence in column("dev", 0) + column("test", 1)}
    reviews = [line for kind in ("neg", "pos")
               for line in (o.data / f"corpora/movie-reviews/rt-polarity.{kind}").read_text(errors="ignore").splitlines()
               if letters(line) not in held_out]
    others = [(o.data / "corpora" / name).read_text() for name in
              ("wikitext-2/test.txt", "wikitext-2/valid.txt", "tinyshakespeare/input.txt")]
    o.file.write_text("\n".join(reviews + column("train", 0) + others) + "\n")


def nulls(o):
    rng = random.Random(5)
    people = "Anna Bob Clara Daniel Emma Frank Grace Henry Irene Jack Karen Louis Maria Nathan Olivia Peter".split()
    facts = {
        "lives in": ("Where does {} live?", "London Paris Berlin Rome Madrid Vienna Oslo Dublin Athens Prague".split()),
        "works as a": ("What does {} do for a living?", "teacher lawyer painter farmer nurse baker pilot judge".split()),
        "likes to eat": ("What does {} like to eat?", "bread rice cheese soup fish apples cake beans".split()),
        "was born in": ("When was {} born?", [str(year) for year in range(1930, 2005)]),
    }

    def story():
        told = {}
        for person in rng.sample(people, rng.randint(2, 5)):
            for fact in rng.sample(list(facts), rng.randint(1, 3)):
                told[person, fact] = rng.choice(facts[fact][1])
        order = rng.sample(list(told), len(told))
        context, places = "", {}
        for person, fact in order:
            context += f"{person} {fact} "
            places[person, fact] = len(context)
            context += f"{told[person, fact]}. "
        asked = rng.choice(order)
        if impossible := rng.random() < 0.5:
            asked = rng.choice([(person, fact) for person in people for fact in facts if (person, fact) not in told and
                                (any(person == other for other, _ in told) or rng.random() < 0.2)])
        answers = [] if impossible else [{"text": told[asked], "answer_start": places[asked]}]
        return {"context": context.strip(), "qas": [{
            "id": f"{rng.getrandbits(64):016x}", "question": facts[asked[1]][0].format(asked[0]), "answers": answers,
            "is_impossible": impossible}]}

    for name, count in (("train", 2000), ("dev", 500)):
        data = {"version": "v2.0", "data": [{"title": name, "paragraphs": [story() for _ in range(count)]}]}
        (o.folder / f"nulls_{name}.json").write_text(json.dumps(data))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--task", required=True, choices=MODELS)
    for name in ("model", "train", "dev", "output", "programs"):
        training.add_argument(f"--{name}", required=True, type=pathlib.Path)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--epochs", type=int, default=3)
    training.add_argument("--steps", type=int)
    training.add_argument("--batch-size", type=int, default=32)
    training.add_argument("--pieces", type=int, default=1)
    training.add_argument("--max-length", type=int, default=128)
    training.add_argument("--learning-rate", type=float, required=True)
    training.add_argument("--threads", type=int, default=2)
    comparison = commands.add_parser("compare")
    comparison.add_argument("--score", required=True)
    comparison.add_argument("--apart", required=True, type=float)
    comparison.add_argument("folder", type=pathlib.Path)
    splitting = commands.add_parser("split")
    splitting.add_argument("xquad", type=pathlib.Path)
    splitting.add_argument("folder", type=pathlib.Path)
    collecting = commands.add_parser("texts")
    collecting.add_argument("data", type=pathlib.Path)
    collecting.add_argument("file", type=pathlib.Path)
    generating = commands.add_parser("nulls")
    generating.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    {"train": train, "compare": compare, "split": split, "texts": texts, "nulls": nulls}[options.command](options)


if __name__ == "__main__":
    main()
