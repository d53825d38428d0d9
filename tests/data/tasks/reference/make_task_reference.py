#!/usr/bin/env python3
"""Writes tests/data/tasks/reference/tasks.json: what Python's csv module reads of SST-2, a plain reader of WikiANN, and
what transformers makes of WikiANN's words and of the questions of XQuAD, each as a count and a checksum.
Usage: make_task_reference.py DATA, the folder with glue/, ner/, squad/ and vocab/. Needs the Python package transformers."""

import csv
import json
import pathlib
import sys

from transformers import BertTokenizerFast

data = pathlib.Path(sys.argv[1])
tokenizer = BertTokenizerFast(str(data / "vocab/bert-base-uncased-vocab.txt"), do_lower_case=True)


def checksum(text):
    """FNV-1a, 64 bits, of UTF-8."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def read_sst2(path):
    csv.field_size_limit(sys.maxsize)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {"rows": len(rows), "checksum": checksum("".join(f"{row['sentence']}\t{row.get('label', '')}\n" for row in rows))}


def read_wikiann(path):
    sentences = [[]]
    for line in open(path, encoding="utf-8"):
        if line.strip():
            word, tag = line.rstrip("\n").split("\t")
            sentences[-1].append((word.removeprefix("en:"), tag))
        elif sentences[-1]:
            sentences.append([])
    return [sentence for sentence in sentences if sentence]


def words_of(sentences):
    return "".join("".join(f"{word}\t{tag}\n" for word, tag in sentence) + "\n" for sentence in sentences)


def encode_tags(sentences):
    """As run_ner.py: the first piece of a word has its tag, all else -100."""
    names = sorted({tag for sentence in sentences for _, tag in sentence})
    lines = []
    for sentence in sentences:
        encoding = tokenizer([word for word, _ in sentence], is_split_into_words=True)
        before = None
        for token, word in zip(encoding["input_ids"], encoding.word_ids()):
            label = -100 if word is None or word == before else names.index(sentence[word][1])
            lines.append(f"{token} {label}\n")
            before = word
    return {"tokens": len(lines), "checksum": checksum("".join(lines))}


def encode_questions(questions, max_length, stride):
    """As run_qa.py's prepare_train_features, with one difference: its search for the first token of an answer goes on into
    the [SEP] behind the context and the padding, whose offsets are (0, 0), so an answer that begins at the last token of
    a window would get a label behind it. Here it stays in the context."""
    lines, windows, answered = [], 0, 0
    for question, context, answer in questions:
        encoding = tokenizer(question, context, truncation="only_second", max_length=max_length, stride=stride,
                             return_overflowing_tokens=True, return_offsets_mapping=True)
        byte = [0]
        for character in context:
            byte.append(byte[-1] + len(character.encode()))
        begin, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
        for i, ids in enumerate(encoding["input_ids"]):
            parts, offsets = encoding.sequence_ids(i), encoding["offset_mapping"][i]
            inside = [t for t, part in enumerate(parts) if part == 1]
            first, last = inside[0], inside[-1]
            start_label = end_label = 0
            if offsets[first][0] <= begin and offsets[last][1] >= end:
                token = first
                while token <= last and offsets[token][0] <= begin:
                    token += 1
                start_label = token - 1
                token = last
                while offsets[token][1] >= end:
                    token -= 1
                end_label = token + 1
                answered += 1
            windows += 1
            lines.append(f"{start_label} {end_label}\n")
            for token, kind, part, (b, e) in zip(ids, encoding["token_type_ids"][i], parts, offsets):
                lines.append(f"{token} {kind} " + (f"{byte[b]} {byte[e]}\n" if part == 1 else "-\n"))
    return {"max_length": max_length, "stride": stride, "windows": windows, "answered": answered,
            "checksum": checksum("".join(lines))}


questions = [(qa["question"], paragraph["context"], qa["answers"][0])
             for article in json.load(open(data / "squad/xquad.en.json", encoding="utf-8"))["data"]
             for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
wikiann = {name: read_wikiann(data / "ner" / name) for name in ("train", "dev", "test")}
result = {
    "sst2": {name: read_sst2(data / "glue/SST-2" / f"{name}.tsv") for name in ("train", "dev", "test")},
    "wikiann": {name: {"sentences": len(sentences), "checksum": checksum(words_of(sentences))}
                for name, sentences in wikiann.items()},
    "tags": encode_tags(wikiann["dev"]),
    "answers": [encode_questions(questions, *lengths) for lengths in ((384, 128), (128, 64), (64, 8))],
}
with open(pathlib.Path(__file__).parent / "tasks.json", "w") as file:
    json.dump(result, file, indent=1)
    file.write("\n")
