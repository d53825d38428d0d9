#!/usr/bin/env python3
"""Writes tests/models/reference/xquad_answers.txt.gz: the answers to the questions of XQuAD English that transformers
chooses, its tokenizer making the windows, for logits that are made here and in tests/models/xquad_test.cpp in the same
way. A line is a question, and for each of two kinds of windows it has their number, how many tokens they have together
and a checksum of the text that is chosen, or "-" for none.

    make_xquad_reference.py UTILS_QA DATA [FILE]

UTILS_QA is postprocess_qa_predictions' file among transformers' examples, DATA the folder BERTIE_TEST_DATA.
"""

import importlib.util
import gzip
import json
import pathlib
import sys

import numpy as np
from transformers import BertTokenizerFast

from make_metrics_reference import Examples, Numbers, checksum

# max_length, stride, null_answers, null_score_diff_threshold; with this one, 482 of the 1,190 have no answer
KINDS = [(384, 128, False, 0.0), (96, 32, True, -28.0)]


def logit(n, token):  # of a window's tokens no two are equal, so that their order is known
    return np.float32((n.below(2**13) * 512 + token) / 2**17 - 16) * np.float32(0.7)


def main():
    specification = importlib.util.spec_from_file_location("utils_qa", sys.argv[1])
    utils = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(utils)
    data = pathlib.Path(sys.argv[2])
    words = (data / "vocab/bert-base-uncased-vocab.txt").read_text().splitlines()
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    examples = [{"id": question["id"], "question": question["question"], "context": paragraph["context"]}
                for article in json.loads((data / "squad/xquad.en.json").read_text())["data"]
                for paragraph in article["paragraphs"] for question in paragraph["qas"]]
    columns = []
    for max_length, stride, null_answers, threshold in KINDS:
        features, starts, ends, sizes = [], [], [], []
        for number, example in enumerate(examples):
            n = Numbers(number)
            encoded = tokenizer(example["question"].lstrip(), example["context"], truncation="only_second", stride=stride,
                                max_length=max_length, return_overflowing_tokens=True, return_offsets_mapping=True)
            sizes.append((len(encoded["input_ids"]), sum(map(len, encoded["input_ids"]))))
            for window, offsets in enumerate(encoded["offset_mapping"]):
                texts = encoded.sequence_ids(window)
                features.append({"example_id": example["id"], "offset_mapping": [
                    tuple(offset) if text == 1 else None for offset, text in zip(offsets, texts)]})
                starts.append(np.array([logit(n, token) for token in range(len(offsets))]))
                ends.append(np.array([logit(n, token) for token in range(len(offsets))]))
        chosen = utils.postprocess_qa_predictions(Examples(examples), features, (starts, ends), null_answers,
                                                  null_score_diff_threshold=threshold)
        columns.append([f"{windows} {tokens} {checksum(text) if (text := chosen[example['id']]) else '-'}"
                        for example, (windows, tokens) in zip(examples, sizes)])
    target = sys.argv[3] if len(sys.argv) > 3 else pathlib.Path(__file__).resolve().parent / "xquad_answers.txt.gz"
    with gzip.GzipFile(target, "wb", mtime=0) as file:
        file.write("".join(" ".join(row) + "\n" for row in zip(*columns)).encode())


if __name__ == "__main__":
    main()
