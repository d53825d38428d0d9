#!/usr/bin/env python3
"""Compares the program wordpiece with `tokenizers` as transformers' BertTokenizer sets it up: ids and offsets of every
Unicode scalar value and of random strings, decoded texts, trained vocabularies. Prints a line per trial and ends with
status 1 if any differs."""

import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer

VOCABULARIES = ["bert-base-uncased", "bert-base-cased", "bert-base-chinese", "bert-base-multilingual-cased"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHUNK = 100_000  # lines per run of the program
SHOWN = 5  # differences of a trial


class Trials:
    def __init__(self, program, threads, seed):
        self.program, self.threads, self.seed = program, threads, seed
        self.folder = tempfile.TemporaryDirectory()
        self.failed = 0

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def model(self, vocabulary, **config):
        """A directory with this vocab.txt and tokenizer_config.json, and transformers' tokenizer of it."""
        directory = tempfile.mkdtemp(dir=self.folder.name)
        os.symlink(os.path.abspath(vocabulary), os.path.join(directory, "vocab.txt"))
        with open(os.path.join(directory, "tokenizer_config.json"), "w") as file:
            json.dump({"tokenizer_class": "BertTokenizer", **config}, file)
        return directory, BertTokenizer.from_pretrained(directory)

    def run(self, *arguments, data=None):
        """The lines of standard output for the lines of `data`."""
        command = [self.program, *arguments, "--threads", str(self.threads)]
        if data is not None:
            with open(self.path("input"), "wb") as file:
                file.write(data)
            command += ["--input", self.path("input")]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if run.returncode != 0:
            sys.exit(f"{' '.join(command)}: {run.stderr.decode(errors='replace').strip()}")
        lines = run.stdout.split(b"\n")
        return lines[:-1]

    def report(self, title, count, differences, shown=()):
        print(f"{title}: {count:,} compared, {differences:,} differences", flush=True)
        for line in shown:
            print("  " + line)
        self.failed += differences > 0

    def compare(self, title, model, lines, *options, pairs=False):
        """`lines` are bytes without a line feed; with `pairs` one with a tab is two texts."""
        directory, referee = model
        backend = referee.backend_tokenizer
        backend.encode_special_tokens = "--split-special-tokens" in options
        if pairs:
            options += ("--pairs",)
        differences, shown, count = 0, [], 0
        for chunk in chunks(lines):
            count += len(chunk)
            texts = [line.decode("utf-8", "replace") for line in chunk]
            if pairs:
                texts = [tuple(text.split("\t")) if "\t" in text else text for text in texts]
            expected = backend.encode_batch(texts, add_special_tokens="--no-special-tokens" not in options)
            came = self.run("encode", "--model", directory, "--json", *options, data=b"\n".join(chunk) + b"\n")
            if len(came) != len(chunk):
                sys.exit(f"{title}: {len(chunk)} lines in, {len(came)} out")
            for text, e, line in zip(texts, expected, came):
                got = json.loads(line)
                same = (got["ids"] == e.ids and got["tokens"] == e.tokens
                        and [tuple(o) for o in got["offsets"]] == e.offsets
                        and (not pairs or got["token_type_ids"] == e.type_ids))
                if not same:
                    differences += 1
                    if len(shown) < SHOWN:
                        shown.append(f"{text!r}: {list(zip(got['tokens'], got['offsets']))}, "
                                     f"should be {list(zip(e.tokens, e.offsets))}")
        self.report(title, count, differences, shown)


def chunks(lines):
    chunk = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def scalar_values():
    """All but the line feed, which ends a line."""
    return (chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c != 10)


def prove_scalar_values(trials, data):
    for name in VOCABULARIES:
        lower = name in ("bert-base-uncased", "bert-base-chinese")
        model = trials.model(f"{data}/vocab/{name}-vocab.txt", do_lower_case=lower)
        title = f"{name}, {'lower-cased' if lower else 'cased'}"
        trials.compare(f"{title}, every scalar value alone", model, (c.encode() for c in scalar_values()),
                       "--no-special-tokens")
        trials.compare(f"{title}, every scalar value inside words", model,
                       (f"a{c}b the{c}s e\u0301{c}\u0323".encode() for c in scalar_values()), "--no-special-tokens")


SCRIPTS = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x5FF), (0x600, 0x7FF), (0x900, 0xDFF), (0xE00, 0x11FF),
           (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3040, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xAFFF), (0xF900, 0xFFEF),
           (0x10000, 0x11FFF), (0x1D100, 0x1D7FF), (0x1E900, 0x1E95F), (0x20000, 0x2FA1F)]
MARKS = [chr(c) for c in (*range(0x300, 0x370), *range(0x483, 0x488), *range(0x591, 0x5C0), *range(0x64B, 0x660),
                          0x93C, 0x94D, 0xE31, 0xE38, 0xF71, 0xF72, 0x1037, 0x1D165, 0x1D16D, 0x20D0, 0x302A, 0x3099,
                          0xFE20, 0x1133C, 0x1E8D0, 0x1E944)]
CONTROLS = [chr(c) for c in (*range(0, 9), *range(0xB, 0x20), *range(0x7F, 0xA1), 0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010),
                             *range(0x2028, 0x2030), 0x205F, *range(0x2060, 0x2065), 0xE000, 0xFEFF, 0xFFF9, 0xFFFD,
                             0xFFFE, 0x110BD, 0xE0001, 0xE0020, 0xF0000, 0x10FFFF, 0x1680, 0x2000, 0x200A, 0x3000)]
EMOJI = ["😂", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "☂️", "1️⃣", "❤️‍🔥", "🧑🏿‍🚀", "\ufe0e", "\U0001f3ff", "🫠"]
IN_TEXT = SPECIAL + ["[mask]", "[MASK", "MASK]", "[[SEP]", "[ CLS ]", "##ing", "##", "[unused1]", "[UNK]]"]
INVALID = [b"\x80", b"\xbf\xbf", b"\xc0\x80", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80",
           b"\xf5", b"\xff\xfe", b"\xe0\x80", b"\xf0\x80\x80"]


def random_line(rng, words):
    """Bytes of mixed scripts, marks, controls, emoji sequences, special tokens and invalid UTF-8."""
    parts = []
    scripts = rng.sample(SCRIPTS, rng.randint(1, 3))
    for _ in range(rng.randint(0, 12)):
        kind = rng.random()
        if kind < 0.35:
            part = rng.choice(words)
        elif kind < 0.6:
            low, high = rng.choice(scripts)
            part = "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8)))
        elif kind < 0.7:
            part = rng.choice("aeiouAEIOUsnIİςΣ가한カ\u0915") + "".join(rng.choices(MARKS, k=rng.randint(1, 5)))
        elif kind < 0.77:
            part = "".join(rng.choices(MARKS, k=rng.randint(1, 4)))
        elif kind < 0.83:
            part = rng.choice(CONTROLS)
        elif kind < 0.88:
            part = rng.choice(EMOJI)
        elif kind < 0.94:
            part = rng.choice(IN_TEXT)
        elif kind < 0.96:
            part = rng.choice(words + ["e\u0301", "x"]) * rng.randint(10, 60)
        elif kind < 0.98:
            part = rng.choice(INVALID)
        else:
            part = chr(rng.choice([rng.randint(0x80, 0xD7FF), rng.randint(0xE000, 0x10FFFF)]))
        if isinstance(part, str):
            if rng.random() < 0.1:
                part = part.upper()
            part = part.encode()
        parts.append(part)
        if rng.random() < 0.5:
            parts.append(rng.choice([b" ", b" ", b"  ", b"\r", b"\xc2\xa0"]))
    return b"".join(parts).replace(b"\n", b" ").replace(b"\t", b" ")


def random_lines(rng, count, pairs=False):
    words = ["the", "of", "unwanted", "running", "Hello", "I'm", "don't", "naïve", "café", "Straße", "İstanbul", "déjà",
             "3.14", "e.g.", "$5", "x_y", "日本語", "中国人", "Привет", "שלום", "مرحبا", "हिन्दी", "한국어", "สวัสดี", "a-b"]
    for _ in range(count):
        line = random_line(rng, words)
        yield line + b"\t" + random_line(rng, words) if pairs and rng.random() < 0.9 else line


def prove_random_strings(trials, data, count):
    rng = random.Random(trials.seed)
    for name in VOCABULARIES:
        vocabulary = f"{data}/vocab/{name}-vocab.txt"
        lower = "uncased" in name
        trials.compare(f"{name}, random strings", trials.model(vocabulary, do_lower_case=lower),
                       random_lines(rng, count), "--no-special-tokens")
    vocabulary = f"{data}/vocab/{VOCABULARIES[-1]}-vocab.txt"
    for lower in (True, False):
        for strip in (None, True, False):
            for chinese in (True, False):
                config = {"do_lower_case": lower, "strip_accents": strip, "tokenize_chinese_chars": chinese}
                title = ", ".join(f"{key} {json.dumps(value)}" for key, value in config.items())
                trials.compare(f"random strings, {title}", trials.model(vocabulary, **config),
                               random_lines(rng, count // 10), "--no-special-tokens")
    model = trials.model(vocabulary, do_lower_case=False)
    trials.compare("random strings, [CLS] and [SEP] added", model, random_lines(rng, count // 10))
    trials.compare("random strings, special tokens split", model, random_lines(rng, count // 10),
                   "--split-special-tokens", "--no-special-tokens")
    trials.compare("random pairs", model, random_lines(rng, count, pairs=True), pairs=True)


def prove_decoding(trials, data, count):
    rng = random.Random(trials.seed + 1)
    for name in VOCABULARIES:
        models = [trials.model(f"{data}/vocab/{name}-vocab.txt", do_lower_case="uncased" in name,
                               clean_up_tokenization_spaces=clean) for clean in (True, False)]
        referee = models[0][1]
        texts = [line.decode("utf-8", "replace") for line in random_lines(rng, count // 10)]
        lists = [e.ids for e in referee.backend_tokenizer.encode_batch(texts)]
        lists += [[rng.randrange(referee.vocab_size) for _ in range(rng.randint(0, 20))] for _ in range(count // 10)]
        lines = "\n".join(" ".join(map(str, ids)) for ids in lists).encode() + b"\n"
        for skip in (False, True):
            for directory, referee in models:
                came = trials.run("decode", "--model", directory, *(["--no-special-tokens"] if skip else []), data=lines)
                expected = [referee.decode(ids, skip_special_tokens=skip) for ids in lists]
                shown = [f"{ids}: {got.decode()!r}, should be {want!r}"
                         for ids, got, want in zip(lists, came, expected) if got.decode() != want]
                trials.report(f"{name}, decoded{' without special tokens' if skip else ''}, clean_up_tokenization_spaces "
                              f"{json.dumps(referee.clean_up_tokenization_spaces)}", len(lists),
                              len(shown) + (len(came) != len(lists)), shown[:SHOWN])


def prove_training(trials, files, size):
    lines = [line for file in files for line in open(file, encoding="utf-8", newline="\n").read().split("\n")]
    referee = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    referee.normalizer = normalizers.BertNormalizer(lowercase=True)
    referee.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    referee.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL,
                                                                 show_progress=False))
    outputs = []
    for threads in (1, 2, 3, 7):
        trials.threads = threads
        trials.run("train", "--input", *files, "--size", str(size), "--output", trials.path("vocab.txt"))
        with open(trials.path("vocab.txt"), "rb") as file:
            outputs.append(file.read())
    ours = outputs[0].decode().split("\n")[:-1]
    theirs = referee.get_vocab()
    common = len(set(ours) & set(theirs))
    words = collections.Counter(
        word for line in lines
        for word, _ in referee.pre_tokenizer.pre_tokenize_str(referee.normalizer.normalize_str(line)))
    tokens_per_word = []
    for vocabulary in ({token: id for id, token in enumerate(ours)}, theirs):
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        total = sum(count * len(tokenizer.encode(word).ids) for word, count in words.items())
        tokens_per_word.append(total / words.total())
    ratio = tokens_per_word[0] / tokens_per_word[1]
    same = len(set(outputs)) == 1
    print(f"trained at size {size:,}: {len(ours):,} entries, of which `tokenizers` has {common:,} "
          f"({100 * common / max(len(ours), len(theirs)):.2f} %); tokens per word {tokens_per_word[0]:.5f} and "
          f"{tokens_per_word[1]:.5f} ({100 * (ratio - 1):+.3f} %); on 1, 2, 3 and 7 threads "
          + ("the same bytes" if same else "DIFFERENT bytes"), flush=True)
    trials.failed += common < 0.99 * max(len(ours), len(theirs)) or abs(ratio - 1) > 0.005 or not same


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="wordpiece")
    parser.add_argument("--data", required=True, help="folder with vocab/ and corpora/wikitext-2/")
    parser.add_argument("--strings", type=int, default=100_000, help="random strings per trial (default: 100000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["scalars", "random", "decode", "train"])
    options = parser.parse_args()
    trials = Trials(os.path.abspath(options.program), options.threads, options.seed)
    only = options.only
    if only in (None, "train"):
        wikitext = [f"{options.data}/corpora/wikitext-2/{part}.txt" for part in ("valid", "test")]
        prove_training(trials, wikitext, 8192)
        trials.threads = options.threads
    if only in (None, "decode"):
        prove_decoding(trials, options.data, options.strings)
    if only in (None, "random"):
        prove_random_strings(trials, options.data, options.strings)
    if only in (None, "scalars"):
        prove_scalar_values(trials, options.data)
    if trials.failed:
        sys.exit(f"{trials.failed} trials failed")
    print("all the same")


if __name__ == "__main__":
    main()
