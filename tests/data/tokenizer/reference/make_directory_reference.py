#!/usr/bin/env python3
"""Writes tests/data/tokenizer/reference/directories.json: what transformers' AutoTokenizer makes of texts with the
tokenizers of directories of many kinds, each as a list of cases

    name, files (their contents by names), saved (the files that transformers saves of the same tokenizer),
    ids, offsets, decoded, decoded_without_special: of each of the texts

and what `tokenizers` takes for a character of a word next to an added token, as ranges of code points.
Needs the Python packages transformers and tokenizers."""

import json
import pathlib
import sys
import tempfile

from tokenizers import AddedToken, Tokenizer, models
from transformers import AutoTokenizer
from transformers.utils import logging

logging.set_verbosity_error()

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "new", "##word", "a", "##b", "foo", "bar", "Cafe", "cafe", "é", "caf", "##é", ".", ",", "-", "_",
         "[", "]", "<", ">", "ent", "mask", "MASK", "##s", "中", "x", "##x", "b", "##a", "1", "##1"]
TEXTS = [
    "the newword cat",
    "the NEWWORD, newwords xnewword newword- newword_a _newword",
    "  newword  newword newwordnewword\u00a0newword\tthe",
    "<ent>the <ent> cat<ENT> <ent",
    "foo bar foobar foo  bar FOO BAR foo\u0301 bar",
    "Café café CAFE\u0301 cafe CAFÉ a",
    "[MASK] the[MASK]cat [mask] [PAD] [CLS]",
    "中newword中<ent>中 \ufffd<ent>\ue000newword",
    "ab a b aba ab-ab ab1 1ab éab abé ab\u0301",
    "the b\u200db newword\u200d newword\u0301 \u24d0newword newword\u24d0",
    "",
]


def vocabulary(words=WORDS):
    return "".join(token + "\n" for token in SPECIAL + words)


def token(content, id=None, **flags):
    flags = {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": True,
             "special": False} | flags
    return flags if id is None else {"id": id} | flags


def decoder(*tokens, base=len(SPECIAL + WORDS)):
    special = {str(i): token(name, special=True, normalized=False) for i, name in enumerate(SPECIAL)}
    return {"added_tokens_decoder": special | {str(base + i): each for i, each in enumerate(tokens)}}


def directories():
    flags = ["lstrip", "rstrip", "single_word", "normalized", "special"]
    yield "vocab.txt alone", {"vocab.txt": vocabulary()}
    yield "no lower case", {"vocab.txt": vocabulary(), "tokenizer_config.json": {"do_lower_case": False}}
    yield "max_len of old", {"vocab.txt": vocabulary(), "tokenizer_config.json": {"max_len": 6}}
    yield "blank lines", {"vocab.txt": "\n".join(SPECIAL + ["the", "", "cat", " ", "", "new", "##word", ""]) + "\n\n"}
    yield "doubled entries", {"vocab.txt": vocabulary(["the", "cat", "the", "new", "##word", "cat", "[MASK]", "cat ", "a"])}
    yield "added after doubled entries", {
        "vocab.txt": vocabulary(["the", "cat", "the", "new", "a", "##word"] + [""] * 3),
        "special_tokens_map.json": {"additional_special_tokens": ["<ent>"]}}
    # Each combination of properties, in upper and lower case and with an accent.
    for bits in range(2 ** len(flags)):
        on = {flag: bool(bits >> i & 1) for i, flag in enumerate(flags)}
        for lower in (True, False) if bits % 5 == 0 else (True,):
            yield "added " + " ".join(flag for flag in flags if on[flag]) + (" cased" if not lower else ""), {
                "vocab.txt": vocabulary(),
                "tokenizer_config.json": {"do_lower_case": lower} | decoder(
                    token("newword", **on), token("<ent>", **on), token("ab", **on), token("Café", **on), token("foo bar", **on))}
    yield "longest first", {"vocab.txt": vocabulary(), "tokenizer_config.json": decoder(
        token("newwo"), token("newwor"), token("newword-", normalized=False), token("ew", normalized=False), token(" cat"))}
    yield "a word of the vocabulary", {"vocab.txt": vocabulary(), "tokenizer_config.json": {
        "added_tokens_decoder": decoder()["added_tokens_decoder"] | {"9": token("a"), "11": token("foo", normalized=False)}}}
    yield "special tokens of other properties", {"vocab.txt": vocabulary(), "tokenizer_config.json": {
        "added_tokens_decoder": decoder()["added_tokens_decoder"] | {
            "4": token("[MASK]", special=True, normalized=False, lstrip=True), "2": token("[CLS]", special=True)}}}
    yield "split_special_tokens", {"vocab.txt": vocabulary(), "tokenizer_config.json": {"split_special_tokens": True} | decoder(
        token("<ent>", special=True, normalized=False), token("newword"))}
    yield "added_tokens.json", {"vocab.txt": vocabulary(), "added_tokens.json": {"newword": 37, "<ent>": 38}}
    yield "added_tokens.json, special", {
        "vocab.txt": vocabulary(), "added_tokens.json": {"newword": 37, "<ent>": 38, "[MASK]": 4},
        "special_tokens_map.json": {"additional_special_tokens": ["<ent>"], "mask_token": "[MASK]"}}
    yield "added_tokens.json, [MASK] nowhere else", {"vocab.txt": vocabulary(), "added_tokens.json": {"[MASK]": 4}}
    yield "special_tokens_map.json", {"vocab.txt": vocabulary(), "special_tokens_map.json": {
        "bos_token": "<ent>", "mask_token": {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False},
        "additional_special_tokens": ["newword", "foo"]}}
    yield "additional_special_tokens", {"vocab.txt": vocabulary(), "tokenizer_config.json": {
        "additional_special_tokens": ["<ent>", "the"], "bos_token": "newword", "eos_token": "[SEP]"}}
    yield "a map that added_tokens_decoder replaces", {
        "vocab.txt": vocabulary(), "tokenizer_config.json": decoder(token("newword")),
        "special_tokens_map.json": {"additional_special_tokens": ["<ent>"]}, "added_tokens.json": {"foo bar": 38}}
    json_of = Tokenizer(models.WordPiece({name: i for i, name in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    json_of.add_special_tokens(SPECIAL)
    json_of.add_tokens([AddedToken("newword", normalized=True), AddedToken("<ent>", rstrip=True, normalized=False)])
    text = json.loads(json_of.to_str())
    yield "tokenizer.json alone", {"tokenizer.json": text}
    yield "tokenizer.json beside another vocab.txt", {"tokenizer.json": text, "vocab.txt": vocabulary(WORDS[::-1])}
    yield "tokenizer.json and a decoder", {"tokenizer.json": text, "tokenizer_config.json": decoder(token("foo bar"))}
    holes = json.loads(json.dumps(text))
    holes["model"]["vocab"] = {name: i + (i > 8) + 4 * (i > 20) for name, i in text["model"]["vocab"].items()}
    holes["added_tokens"] = holes["added_tokens"][:5]
    yield "tokenizer.json with holes", {"tokenizer.json": holes}


def results(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    limit = {"truncation": True} if tokenizer.model_max_length < 1000 else {}
    encoded = [tokenizer(text, return_offsets_mapping=True, **limit) for text in TEXTS]
    return tokenizer, {
        "max_length": tokenizer.model_max_length if limit else None,
        "ids": [each["input_ids"] for each in encoded],
        "offsets": [[position for pair in each["offset_mapping"] for position in pair] for each in encoded],
        "decoded": [tokenizer.decode(each["input_ids"], clean_up_tokenization_spaces=True) for each in encoded],
        "decoded_without_special": [tokenizer.decode(each["input_ids"], clean_up_tokenization_spaces=True,
                                                     skip_special_tokens=True) for each in encoded],
    }


def cases():
    for name, files in directories():
        with tempfile.TemporaryDirectory() as folder:
            texts = {file: content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
                     for file, content in files.items()}
            for file, content in texts.items():
                (pathlib.Path(folder) / file).write_text(content)
            (pathlib.Path(folder) / "config.json").write_text('{"model_type": "bert"}')
            tokenizer, expected = results(folder)
            with tempfile.TemporaryDirectory() as again:
                tokenizer.save_pretrained(again)
                saved = {path.name: path.read_text() for path in pathlib.Path(again).iterdir()}
                (pathlib.Path(again) / "config.json").write_text('{"model_type": "bert"}')
                reread = results(again)[1]
            if name.startswith("added "):  # as the others
                saved = {}
            elif reread != expected:  # transformers doesn't find it again: nothing to compare with
                print(f"{name}: transformers reads what it saves otherwise", file=sys.stderr)
                saved = {}
        yield {"name": name, "files": texts, "saved": {file: saved[file] for file in sorted(saved)}} | expected


def word_characters():
    """[first, last, first, last …] of the code points beside which a token isn't a single word."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.add_tokens([AddedToken("\u22c6", single_word=True, normalized=False)])
    code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c != 0x22C6]
    ranges = []
    for c in code_points:
        if 1 in tokenizer.encode(chr(c) + "\u22c6").ids:
            continue
        if ranges and ranges[-1] == c - 1:
            ranges[-1] = c
        else:
            ranges += [c, c]
    return ranges


path = sys.argv[1] if len(sys.argv) > 1 else "tests/data/tokenizer/reference/directories.json"
with open(path, "w") as file:
    json.dump({"texts": TEXTS, "word_characters": word_characters(), "cases": list(cases())}, file, ensure_ascii=False,
              separators=(",", ":"))
    file.write("\n")
