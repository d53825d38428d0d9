#!/usr/bin/env python3
"""Writes tests/data/tokenizer/reference/tokenizer.json: what `tokenizers` makes of texts that are hard to tokenize, how
Python reads invalid UTF-8, what truncation leaves of pairs, and the vocabulary that its trainer makes of a small text.
Needs the Python package tokenizers."""

import collections
import json
import sys
import unicodedata

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "",
    "  \t\r\n ",
    "UNwantéd,running",
    "unwanted  Unwanted\u00a0unwanted\u3000the\u2028the\u200bthe",
    "The café — the cafe\u0301; THE CAFÉ!",
    "a\u0327\u0301b é\u0327 \u0344x \u0301the",
    "a\u0301\u302eb a\u302e\u0327c a\u1bf2\u0334\u302fd e\u0301\u1b44\u0323f g\u07fd\u0323h",
    "\u00e9\u302eb e\u0344\u302e\u302fc \u1e69\u302e\u0323\u302ed",
    "İstanbul I\u0307 ıIi ßẞ ﬀ ΑΣ Σ ς ῼ Ω \ua7cba\ua7cb b\u1c89 ǅ",
    "中国a中b国 車\uf902 \U0002b820\U0002b920 ア\u3099ガ「中」",
    "가각 각 \u1100\u1161\u11a8 a각b",
    "😂👍 👩\u200d👩\u200d👧 ☂\ufe0f",
    "a\x00b\x01c\x7fd\x85e\ufffdf\ue000g\u0378h\u00adi\u06ddj\u0890k",
    "don't... #hash ##ed ####ed [x] ¿que? $5 `a` ~b^c_d|e",
    "a\u166db a\u2e43b a\u1734b a\U000111c9b \u037e\u1fef",
    "[MASK]the[SEP][CLS] [mask] [MASK [[UNK]] [PAD]",
    "x" * 100 + " " + "x" * 101 + " " + "中" * 3,
    "é" * 100 + " " + "e\u0301" * 101,
    "шалом שלום שָׁלוֹם и\u0306й",
    "\u0915\u093c\u0958 \u0bcb \u0b94 ᾳ\u0301 \U0001d15e \U00011938",
]
# All their characters, composed and decomposed, in both cases, so that none hides behind [UNK]; and some pieces.
FORMS = "".join(TEXTS) + unicodedata.normalize("NFD", "".join(TEXTS))
CHARACTERS = sorted(c for c in set(FORMS + FORMS.lower() + "\u0264") if not c.isspace())  # no token ends in white space
VOCABULARY = SPECIAL + CHARACTERS + ["##" + c for c in CHARACTERS] + [
    "un", "Un", "##want", "##wanted", "##ed", "run", "##ning", "the", "hello", "caf", "x" * 50, "##" + "x" * 50,
    "é" * 50, "##" + "é" * 50, "e" * 50, "##" + "e" * 50, "##國", "##\u1161\u11a8"]
OPTIONS = [  # do_lower_case, strip_accents, tokenize_chinese_chars, split_special_tokens
    (True, None, True, False),
    (False, None, True, False),
    (True, False, False, False),
    (False, True, True, True),
]
INVALID = ["80", "41 80 42", "c3", "c3 28", "c0 80", "c1 bf", "e2 82", "e2 82 41", "e2 28 a1", "e0 80 80", "e0 9f bf",
           "e0 a0", "ed a0 80", "ed 9f bf", "ed bf bf", "ee 80", "f0 80 80 80", "f0 8f bf bf", "f0 90 80", "f0 9f 98",
           "f0 9f 98 41", "f0 9f 41", "f4 8f bf bf", "f4 90 80 80", "f5 80 80 80", "f8 88 80 80 80", "fe", "ff ff",
           "c3 a9 c3 a9 a9", "e2 82 ac e2 82 e2 82 ac", "f1 80 80 e1 80 c2 61", "61 f1 80 80 e1 80 c2 62 80 63 80 bf 64",
           "ef bf bd", "c2 c2 c2 80", "f0 f0 9f 98 82"]  # the mixed ones after the Unicode Standard's table 3-8


def encodings(options):
    lower, strip, ideographs, split = options
    tokenizer = Tokenizer(models.WordPiece({token: id for id, token in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=ideographs, strip_accents=strip, lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if not split:
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    results = [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
    return {
        "do_lower_case": lower, "strip_accents": strip, "tokenize_chinese_chars": ideographs,
        "split_special_tokens": split,
        "ids": [result.ids for result in results],
        "offsets": [[position for pair in result.offsets for position in pair] for result in results],
    }


def truncation():
    """What is left of pairs: [tokens of the first text, of the second, max_length, left of the first, of the second]."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    rows = []
    for max_length in range(3, 13):
        tokenizer.enable_truncation(max_length, strategy="longest_first")
        for first in range(8):
            for second in range(8):
                ids = tokenizer.encode("a " * first, "b " * second).ids
                rows.append([first, second, max_length, ids.count(3), ids.count(4)])
    return rows


TRAINING = """The quick brown fox jumps over the lazy dog; the lazier dog jumped over quickest foxes.
A tokenizer learns pieces: token, tokens, tokenize, tokenized, tokenizing, tokenization. Unlearn the learned!
Pairs that overlap: aaaa aaa aaaaa banana bananas ananas. 中国 and 中文, naïve cafés, Ελλάδα ελλάδα.
learning learner learners learns learned; lowest lower low slow slower slowest; newer newest new renew renewed.
"""


def training(size, min_frequency, alphabet_limit):
    """The vocabulary in the order of its ids. tokenizers gives the continuing characters ids that vary from run to
    run, and ties go by ids: so all characters are handed to it as special tokens, in bertie's order."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = [word for line in TRAINING.splitlines() for word, _ in
             tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line))]
    counts = collections.Counter("".join(words)).most_common()
    kept = {character for character, _ in counts[:alphabet_limit]}
    assert len(counts) == len(kept) or counts[alphabet_limit - 1][1] > counts[alphabet_limit][1], "a tie at the limit"
    continuing = {character for word in words for character in word[1:]} & kept
    characters = sorted(kept) + sorted("##" + character for character in continuing)
    trainer = trainers.WordPieceTrainer(vocab_size=size, min_frequency=min_frequency, limit_alphabet=alphabet_limit,
                                        special_tokens=SPECIAL + characters, show_progress=False)
    tokenizer.train_from_iterator(TRAINING.splitlines(), trainer)
    vocabulary = tokenizer.get_vocab()
    return {"size": size, "min_frequency": min_frequency, "alphabet_limit": alphabet_limit,
            "tokens": sorted(vocabulary, key=vocabulary.get)}


reference = {
    "vocabulary": VOCABULARY,
    "texts": TEXTS,
    "options": [encodings(options) for options in OPTIONS],
    "utf8": [[code, bytes.fromhex(code).decode("utf-8", "replace")] for code in INVALID],
    "truncation": truncation(),
    "training": {"text": TRAINING, "runs": [training(180, 2, 1000), training(1000, 1, 1000), training(1000, 3, 18)]},
}
with open(sys.argv[1] if len(sys.argv) > 1 else "tests/data/tokenizer/reference/tokenizer.json", "w") as file:
    json.dump(reference, file, separators=(",", ":"))
    file.write("\n")
