#include "bertie/data/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/data/tokenizer/utf8.h"

namespace bertie {
namespace {

constexpr int32_t max_word_characters = 100;  // a longer word is [UNK]

// Where append_ids() puts its tokens.
struct IdsOnly {
  std::vector<int32_t>& ids;
  void add(int32_t id, int64_t, int64_t) { ids.push_back(id); }
};

// Where encode() puts its tokens.
struct IdsAndOffsets {
  Encoding& encoding;
  void add(int32_t id, int64_t begin, int64_t end) {
    encoding.ids.push_back(id);
    encoding.offsets.push_back({begin, end});
  }
};

// Gathers the characters of a word and cuts it into pieces.
template <class Output>
class PieceSink {
 public:
  PieceSink(const Vocabulary& vocabulary, int64_t text_begin, Output& output)
      : vocabulary_(vocabulary), text_begin_(text_begin), output_(output) {}

  void add(const char* bytes, int32_t length, int64_t position) {
    if (characters_ == 0) first_position_ = position;
    last_position_ = position;
    // No more are counted: a word may have any length.
    if (characters_ > max_word_characters || ++characters_ > max_word_characters) return;
    for (int32_t i = 0; i < length; ++i) {
      bytes_[size_] = bytes[i];
      positions_[size_++] = position;
    }
  }

  void end_word() {
    if (characters_ > 0) cut_word();
    characters_ = size_ = 0;
  }

 private:
  void cut_word() {
    if (characters_ > max_word_characters) return add_unknown();
    int32_t piece_count = 0;
    for (int32_t at = 0; at < size_;) {
      ByteTrie::Match piece =
          vocabulary_.longest_piece({bytes_ + at, static_cast<size_t>(size_ - at)}, at > 0);
      if (piece.value < 0) return add_unknown();  // one piece that isn't there spoils the whole word
      pieces_[piece_count++] = {piece.value, at};
      at += piece.length;
    }
    for (int32_t i = 0; i < piece_count; ++i) {
      int32_t end = i + 1 < piece_count ? pieces_[i + 1].begin : size_;
      output_.add(pieces_[i].id, text_begin_ + positions_[pieces_[i].begin],
                  text_begin_ + positions_[end - 1] + 1);
    }
  }

  void add_unknown() {
    output_.add(vocabulary_.unk_id(), text_begin_ + first_position_, text_begin_ + last_position_ + 1);
  }

  struct Piece {
    int32_t id;
    int32_t begin;  // byte in the word
  };

  const Vocabulary& vocabulary_;
  int64_t text_begin_;  // of the part of the text being split, in code points
  Output& output_;
  int32_t characters_ = 0;
  int32_t size_ = 0;
  int64_t first_position_ = 0;
  int64_t last_position_ = 0;
  char bytes_[max_word_characters * 4];
  int64_t positions_[max_word_characters * 4];  // of the character that each byte belongs to
  Piece pieces_[max_word_characters];
};

// Of bytes of a text, how many code points stand before them.
class CodePoints {
 public:
  explicit CodePoints(std::string_view text) : text_(text) {}
  int64_t before(const char* place) {
    auto byte = static_cast<size_t>(place - text_.data());
    if (byte < counted_) counted_ = count_ = 0;
    for (; counted_ < byte; ++count_) counted_ += decode_utf8(text_.substr(counted_)).bytes;
    return static_cast<int64_t>(count_);
  }

 private:
  std::string_view text_;
  size_t counted_ = 0, count_ = 0;
};

// Puts back the positions that a normalized text's code points had.
template <class Output>
struct PositionsBefore {
  const int64_t* positions;
  int64_t text_begin;
  Output& output;
  void add(int32_t id, int64_t begin, int64_t end) {
    output.add(id, text_begin + positions[begin], text_begin + positions[end - 1] + 1);
  }
};

// The numbers of tokens of a pair's texts.
struct Lengths {
  int64_t first = 0;
  int64_t second = 0;
  int64_t sum() const { return first + second; }
};

// What is left where there is room for so many. If both texts lose tokens and the room is odd, the longer one
// (the second, if they were equally long) keeps one more, as with `tokenizers`.
Lengths cut_longest_first(Lengths lengths, int64_t room) {
  if (lengths.sum() <= room) return lengths;
  if (lengths.first <= lengths.second) {
    lengths.first = std::min(lengths.first, room / 2);
    lengths.second = room - lengths.first;
  } else {
    lengths.second = std::min(lengths.second, room / 2);
    lengths.first = room - lengths.second;
  }
  return lengths;
}

// Removes the last tokens before `end`.
void cut(Encoding& encoding, size_t end, int64_t count) {
  auto remove = [&](auto& values) {
    auto last = values.begin() + static_cast<int64_t>(end);
    values.erase(last - count, last);
  };
  remove(encoding.ids);
  remove(encoding.offsets);
}

// Takes away the spaces that English has not.
void clean_up(std::string& text) {
  static constexpr std::pair<std::string_view, std::string_view> replacements[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto [from, to] : replacements) {
    std::string result;
    size_t begin = 0;
    for (size_t at; (at = text.find(from, begin)) != std::string::npos; begin = at + from.size()) {
      result.append(text, begin, at - begin);
      result += to;
    }
    if (begin > 0) text = result.append(text, begin);
  }
}

}  // namespace

TextInput split_pair(std::string_view line) {
  size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return {line};
  TextInput pair{line.substr(0, tab), line.substr(tab + 1)};
  BERTIE_CHECK(pair.second->find('\t') == std::string_view::npos, "pairs",
               "a pair is two texts separated by one tab, got {} tabs",
               std::count(line.begin(), line.end(), '\t'));
  return pair;
}

Tokenizer::Tokenizer(Vocabulary vocabulary, TokenizerOptions options)
    : vocabulary_(std::move(vocabulary)),
      options_(options),
      raw_(vocabulary_.added_tokens(), false, options_.words),
      normalized_(vocabulary_.added_tokens(), true, options_.words) {
  NormalizedText text;
  for (const AddedToken& token : vocabulary_.added_tokens()) {
    if (!token.normalized) continue;
    normalize(token.content, options_.words, text);
    if (text.bytes != token.content) decoded_[token.id] = text.bytes;
  }
}

// What is between the tokens found in the raw text, from code point `position` of it.
template <class Output>
int64_t Tokenizer::encode_words(std::string_view text, int64_t position, Output& output) const {
  if (normalized_.empty()) {
    PieceSink<Output> sink(vocabulary_, position, output);
    return WordSplitter<PieceSink<Output>>(options_.words, sink).split(text).replaced;
  }
  NormalizedText normal;
  SplitText read = normalize(text, options_.words, normal);
  CodePoints code_points(normal.bytes);
  PositionsBefore<Output> places{normal.positions.data(), position, output};
  normalized_.split(
      normal.bytes, options_.split_special_tokens,
      [&](std::string_view part) {
        PieceSink<PositionsBefore<Output>> sink(vocabulary_, code_points.before(part.data()), places);
        constexpr WordSplitterOptions as_it_is{false, false, false};
        WordSplitter<PieceSink<PositionsBefore<Output>>>(as_it_is, sink).split(part);
      },
      [&](const AddedToken& token, std::string_view part) {
        int64_t begin = code_points.before(part.data());
        places.add(token.id, begin, code_points.before(part.data() + part.size()));
      });
  return read.replaced;
}

template <class Output>
int64_t Tokenizer::encode_text(std::string_view text, Output& output) const {
  int64_t replaced = 0;
  CodePoints code_points(text);
  raw_.split(
      text, options_.split_special_tokens,
      [&](std::string_view part) { replaced += encode_words(part, code_points.before(part.data()), output); },
      [&](const AddedToken& token, std::string_view part) {
        int64_t begin = code_points.before(part.data());
        output.add(token.id, begin, code_points.before(part.data() + part.size()));
      });
  return replaced;
}

void Tokenizer::encode(const TextInput& input, const EncodeOptions& options, Encoding& out) const {
  int64_t special_count = !options.add_special_tokens ? 0 : input.second ? 3 : 2;
  BERTIE_CHECK(!options.max_length || *options.max_length >= special_count, "tokenizer",
               "max_length must leave room for {} special tokens, got {}", special_count,
               options.max_length.value_or(0));

  out.ids.clear();
  out.offsets.clear();
  out.replaced = 0;
  IdsAndOffsets output{out};
  auto add_text = [&](std::string_view text) {  // returns the number of its tokens
    size_t begin = out.ids.size();
    out.replaced += encode_text(text, output);
    size_t end = out.ids.size();
    if (options.add_special_tokens) output.add(vocabulary_.sep_id(), 0, 0);
    return static_cast<int64_t>(end - begin);
  };
  if (options.add_special_tokens) output.add(vocabulary_.cls_id(), 0, 0);
  Lengths lengths;
  lengths.first = add_text(input.first);
  size_t second_begin = out.ids.size();
  if (input.second) lengths.second = add_text(*input.second);

  Lengths kept = lengths;
  if (options.max_length) kept = cut_longest_first(lengths, *options.max_length - special_count);
  out.cut_off = lengths.sum() - kept.sum();
  size_t sep = options.add_special_tokens ? 1 : 0;
  if (input.second) cut(out, out.ids.size() - sep, lengths.second - kept.second);
  cut(out, second_begin - sep, lengths.first - kept.first);
  second_begin -= lengths.first - kept.first;
  out.token_type_ids.assign(second_begin, 0);
  out.token_type_ids.resize(out.ids.size(), 1);
}

int64_t Tokenizer::append_ids(std::string_view text, std::vector<int32_t>& ids) const {
  IdsOnly output{ids};
  return encode_text(text, output);
}

std::vector<int32_t> Tokenizer::ids(std::string_view text) const {
  std::vector<int32_t> result;
  append_ids(text, result);
  return result;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string text, piece;
  bool is_first = true;
  for (int32_t id : ids) {
    std::string_view token = vocabulary_.token(id);
    auto decoded = decoded_.find(id);
    if (decoded != decoded_.end()) {
      token = decoded->second;
    } else if (skip_special_tokens && vocabulary_.is_special(id)) {
      continue;
    }
    piece.clear();
    if (!std::exchange(is_first, false)) {
      if (token.starts_with(continuation_prefix)) {
        token.remove_prefix(continuation_prefix.size());
      } else {
        piece += ' ';
      }
    }
    piece += token;
    if (!options_.clean_up_tokenization_spaces) clean_up(piece);  // `tokenizers` always does this
    text += piece;
  }
  if (options_.clean_up_tokenization_spaces) clean_up(text);
  return text;
}

}  // namespace bertie
