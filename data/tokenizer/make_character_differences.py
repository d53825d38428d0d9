#!/usr/bin/env python3
"""Writes data/tokenizer/character_differences.h: the code points that `tokenizers` and utf8proc treat differently.

Needs the Python package tokenizers, the library utf8proc and clang-format-14.
"""

import ctypes
import ctypes.util
import subprocess
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

utf8proc = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
utf8proc.utf8proc_category_string.restype = ctypes.c_char_p
utf8proc.utf8proc_unicode_version.restype = ctypes.c_char_p
utf8proc.utf8proc_get_property.restype = ctypes.POINTER(ctypes.c_int16)
DECOMPOSE = 1 << 4


def category(c):
    return utf8proc.utf8proc_category_string(c).decode()


def combining_class(c):
    return utf8proc.utf8proc_get_property(c)[1]


def decomposition(c):
    parts = (ctypes.c_int32 * 4)()
    count = utf8proc.utf8proc_decompose_char(c, parts, 4, DECOMPOSE, ctypes.byref(ctypes.c_int()))
    return "".join(chr(part) for part in parts[:count])


def bert(**steps):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**(options | steps)).normalize_str


clean = bert(clean_text=True)
strip = bert(strip_accents=True)
lower = bert(lowercase=True)
nfd = normalizers.NFD().normalize_str
words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
beside_token = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
beside_token.add_tokens([AddedToken("\u22c6", single_word=True, normalized=False)])  # id 1
# Letters in circles and squares, which is_word_character() in characters.cpp names, and the joiners.
other_word_characters = {0x200C, 0x200D, *range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A),
                         *range(0x1F170, 0x1F18A)}


def is_word_character(c):
    return category(c)[0] in "LM" or category(c) in ("Nd", "Nl", "Pc") or c in other_word_characters


code_points = [c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]
# One mark of each combining class that tokenizers sorts: before U+0345, whose class 240 is the highest.
class_marks = {240: "\u0345"}
for c in code_points:
    if combining_class(c) and nfd("a\u0345" + chr(c)) == f"a{chr(c)}\u0345":
        class_marks.setdefault(combining_class(c), chr(c))


def is_combining(c):
    """Whether tokenizers sorts the mark as its combining class says; else it must not sort it at all."""
    as_classed = never = True
    for other, mark in class_marks.items():
        for text in (chr(c) + mark, mark + chr(c)):
            swapped = nfd("a" + text)[1:] != text
            first, second = (combining_class(ord(x)) for x in text)
            as_classed &= swapped == (first > second)
            never &= not swapped
    assert as_classed or never, f"U+{c:04X} has another combining class"
    return as_classed


kept, not_punctuation, also_punctuation, not_marks, also_marks = [], [], [], [], []
not_combining, not_decomposed, lower_case, also_words = [], [], [], []
for c in code_points:
    character = chr(c)
    if category(c) in ("Cc", "Cf", "Co") or c == 0xFFFD:
        if clean(character):
            assert category(c) == "Cf" and clean(character) == character
            kept.append(c)
    else:
        assert clean(character) in (character, " "), f"U+{c:04X} is removed"
    isolated = len(words(f"a{character}a")) == 3
    if isolated != category(c).startswith("P"):
        (also_punctuation if isolated else not_punctuation).append(c)
    if is_word_character(c) != (1 not in beside_token.encode(character + "\u22c6").ids) and c != 0x22C6:
        assert not is_word_character(c), f"U+{c:04X} is of no word"
        also_words.append(c)
    if nfd(character) != decomposition(c):
        assert nfd(character) == character
        not_decomposed.append(c)
    if nfd(character) == character and (strip(character) == "") != (category(c) == "Mn"):
        (not_marks if category(c) == "Mn" else also_marks).append(c)
    if decomposition(c) == character and combining_class(c) and not is_combining(c):
        not_combining.append(c)
    lowered = lower(character)
    if lowered != chr(utf8proc.utf8proc_tolower(c)):
        if len(lowered) == 1:
            lower_case.append((c, ord(lowered) - c))
        else:
            assert c == 0x130, f"U+{c:04X} has a lower case of several characters"


def ranges(values):
    """[first, last] of consecutive code points; of (code point, difference) pairs with one difference."""
    result = []
    for value in values:
        c, rest = (value[0], value[1:]) if isinstance(value, tuple) else (value, ())
        if result and result[-1][1] == c - 1 and result[-1][2] == rest:
            result[-1][1] = c
        else:
            result.append([c, c, rest])
    return ", ".join("{" + ", ".join([f"0x{a:X}", f"0x{b:X}", *map(str, rest)]) + "}" for a, b, rest in result)


text = f"""// Where `tokenizers` {tokenizers.__version__} and utf8proc (Unicode {utf8proc.utf8proc_unicode_version().decode()}) disagree about code points over 0x7F, because
// the former goes by other versions of Unicode. Written by data/tokenizer/make_character_differences.py.
#pragma once
#include <cstdint>

namespace bertie {{

struct CodePointRange {{
  char32_t first, last;
}};
struct LowerCaseRange {{
  char32_t first, last;
  int32_t difference;  // lower case - upper case
}};

// Format characters (Cf) that aren't removed.
inline constexpr CodePointRange kept_format_characters[] = {{{ranges(kept)}}};
// Punctuation (P*) that doesn't stand alone, and other characters that do.
inline constexpr CodePointRange not_punctuation[] = {{{ranges(not_punctuation)}}};
inline constexpr CodePointRange also_punctuation[] = {{{ranges(also_punctuation)}}};
// Nonspacing marks (Mn) that aren't stripped, and other characters that are.
inline constexpr CodePointRange not_nonspacing_marks[] = {{{ranges(not_marks)}}};
inline constexpr CodePointRange also_nonspacing_marks[] = {{{ranges(also_marks)}}};
// Marks that are left in place instead of being sorted by combining class.
inline constexpr CodePointRange not_combining[] = {{{ranges(not_combining)}}};
// Characters that aren't decomposed.
inline constexpr CodePointRange not_decomposed[] = {{{ranges(not_decomposed)}}};
// Further characters of words, beside which an added token isn't a word of its own.
inline constexpr CodePointRange also_word_characters[] = {{{ranges(also_words)}}};
// Further upper-case characters.
inline constexpr LowerCaseRange also_lower_case[] = {{{ranges(lower_case)}}};

}}  // namespace bertie
"""
formatted = subprocess.run(["clang-format-14", "--assume-filename=data/tokenizer/character_differences.h"], input=text,
                           capture_output=True, text=True, check=True)
with open(sys.argv[1] if len(sys.argv) > 1 else "data/tokenizer/character_differences.h", "w") as file:
    file.write(formatted.stdout)
