// From a text to normalized words, as `tokenizers`' BertNormalizer and BertPreTokenizer make them. In this
// order: control characters are removed and white space separates words; ideographs stand alone; accents are
// stripped (canonical decomposition, then all nonspacing marks go); upper case becomes lower case;
// punctuation stands alone.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "bertie/data/tokenizer/characters.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {

struct WordSplitterOptions {
  bool do_lower_case = true;
  std::optional<bool> strip_accents;  // none: as do_lower_case
  bool tokenize_chinese_chars = true;

  bool strips_accents() const { return strip_accents.value_or(do_lower_case); }
};

struct SplitText {
  int64_t characters = 0;  // code points of the text, removed ones included
  int64_t replaced = 0;    // invalid UTF-8 sequences, read as U+FFFD
};

namespace detail {

// What becomes of each ASCII character: a letter's or digit's own byte in the wanted case, or one of these.
enum AsciiAction : uint8_t { ascii_removed = 0, ascii_space = 1, ascii_punctuation = 2 };
const uint8_t* ascii_actions(bool lowers_case);  // [128]

// A mark of combining class > 0, waiting for the end of its run to be put in canonical order.
struct PendingMark {
  char32_t code_point;
  int32_t combining_class;
  bool own;  // the first of its source character's decomposition, which brings a position of its own
};

}  // namespace detail

// Feeds one text to a sink:
//   sink.add(bytes, length, position)   the next character of the current word: `length` bytes of UTF-8, from
//                                       code point `position` of the text, counted from 0
//   sink.end_word()                     the current word, which may be empty, is complete
//   sink.space(position)                the same, for sinks that have it, where white space ends the word:
//                                       that of the text, or what stands around an ideograph
template <class Sink>
class WordSplitter {
 public:
  WordSplitter(const WordSplitterOptions& options, Sink& sink)
      : options_(options),
        strips_accents_(options.strips_accents()),
        ascii_(detail::ascii_actions(options.do_lower_case)),
        sink_(sink) {}

  SplitText split(std::string_view text);

 private:
  void other_character(char32_t c);
  void decomposed(char32_t c);
  void put_pending_marks_in_order();
  void normalized(char32_t c, int64_t position);
  void word_character(char32_t c, int64_t position);
  void end_word() {
    if (!marks_.empty()) put_pending_marks_in_order();
    sink_.end_word();
  }
  void space() {
    if constexpr (requires(Sink & sink) { sink.space(int64_t{}); }) {
      if (!marks_.empty()) put_pending_marks_in_order();
      sink_.space(position_);
    } else {
      end_word();
    }
  }

  const WordSplitterOptions& options_;
  bool strips_accents_;
  const uint8_t* ascii_;
  Sink& sink_;
  int64_t position_ = 0;       // of the code point being read
  int64_t last_position_ = 0;  // that the last part of a decomposition came from
  std::vector<detail::PendingMark> marks_;
  std::vector<int64_t> mark_positions_;  // of those marks that are `own`, in the order of the text
};

template <class Sink>
SplitText WordSplitter<Sink>::split(std::string_view text) {
  SplitText result;
  const char* at = text.data();
  const char* end = at + text.size();
  for (position_ = 0; at < end; ++position_) {
    auto byte = static_cast<uint8_t>(*at);
    if (byte < 0x80) {
      uint8_t action = ascii_[byte];
      if (action == detail::ascii_removed) {  // doesn't end a run of marks
      } else if (action == detail::ascii_space) {
        space();
      } else if (action == detail::ascii_punctuation) {
        end_word();
        sink_.add(at, 1, position_);
        sink_.end_word();
      } else {
        if (!marks_.empty()) put_pending_marks_in_order();
        char letter = static_cast<char>(action);
        sink_.add(&letter, 1, position_);
      }
      ++at;
    } else {
      Utf8Character character = decode_utf8({at, end});
      if (character.valid) {
        other_character(character.code_point);
      } else {
        ++result.replaced;  // U+FFFD is removed
      }
      at += character.bytes;
    }
  }
  end_word();
  result.characters = position_;
  return result;
}

template <class Sink>
void WordSplitter<Sink>::other_character(char32_t c) {
  CharacterKind kind = character_kind(c);
  if (kind == CharacterKind::removed) return;
  if (kind == CharacterKind::space) return space();
  bool alone = kind == CharacterKind::ideograph && options_.tokenize_chinese_chars;
  if (alone) space();
  if (strips_accents_) {
    decomposed(c);
  } else {
    normalized(c, position_);
  }
  if (alone) space();
}

// The canonical decomposition: é becomes e and an acute accent, which waits for its place among the marks.
template <class Sink>
void WordSplitter<Sink>::decomposed(char32_t c) {
  bool own = true;
  for (char32_t part : decompose(c)) {
    int32_t combining = combining_class(part);
    if (combining > 0) {
      marks_.push_back({part, combining, own});
      if (own) mark_positions_.push_back(position_);
    } else {
      if (!marks_.empty()) put_pending_marks_in_order();
      last_position_ = position_;
      normalized(part, position_);
    }
    own = false;
  }
}

// `tokenizers` moves the marks but not the positions: those are dealt out in the order of the text.
template <class Sink>
void WordSplitter<Sink>::put_pending_marks_in_order() {
  // An insertion sort would do for real text; a hostile one may have a run of any length.
  std::stable_sort(marks_.begin(), marks_.end(),
                   [](const auto& a, const auto& b) { return a.combining_class < b.combining_class; });
  size_t next = 0;
  for (const detail::PendingMark& mark : marks_) {
    if (mark.own) last_position_ = mark_positions_[next++];
    normalized(mark.code_point, last_position_);
  }
  marks_.clear();
  mark_positions_.clear();
}

// Strips accents, of which decomposition made marks of their own, and lower-cases what remains.
template <class Sink>
void WordSplitter<Sink>::normalized(char32_t c, int64_t position) {
  if (strips_accents_ && is_nonspacing_mark(c)) return;
  if (!options_.do_lower_case) return word_character(c, position);
  for (char32_t lower : lower_case(c)) word_character(lower, position);
}

template <class Sink>
void WordSplitter<Sink>::word_character(char32_t c, int64_t position) {
  char bytes[4];
  int32_t length = encode_utf8(c, bytes);
  if (is_punctuation(c)) {
    sink_.end_word();
    sink_.add(bytes, length, position);
    sink_.end_word();
  } else {
    sink_.add(bytes, length, position);
  }
}

}  // namespace bertie
