#!/usr/bin/env python3
"""Writes tests/data/tokenizer/reference/characters.json: what `tokenizers` makes of every code point, as a checksum for
each 1,024 of them. Needs the Python package tokenizers."""

import json
import sys

from tokenizers import normalizers, pre_tokenizers

BLOCK = 1024
# The code point stands within a word; and between marks of the combining classes 224 and 216, which change places unless
# it keeps them apart.
TEXTS = ["a{}B", "a\u302e{}\U0001d165b"]
OPTIONS = [(True, None, True), (False, False, False), (False, True, True)]  # as in BertNormalizer, below

words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
normalize = [normalizers.BertNormalizer(clean_text=True, lowercase=lower, strip_accents=strip,
                                        handle_chinese_chars=ideographs).normalize_str
             for lower, strip, ideographs in OPTIONS]


def checksum(block):
    """FNV-1a, 64 bits, of all words in UTF-8, each followed by a line break."""
    value = 0xCBF29CE484222325
    for c in range(block * BLOCK, (block + 1) * BLOCK):
        if 0xD800 <= c < 0xE000:
            continue
        for text in TEXTS:
            for each in normalize:
                for word, _ in words(each(text.format(chr(c)))):
                    for byte in (word + "\n").encode():
                        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


with open(sys.argv[1] if len(sys.argv) > 1 else "tests/data/tokenizer/reference/characters.json", "w") as file:
    json.dump([checksum(block) for block in range(0x110000 // BLOCK)], file, separators=(",", ":"))
    file.write("\n")
