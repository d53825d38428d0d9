#include "bertie/data/tasks/tag_windows.h"

#include <algorithm>

#include "bertie/autograd/error.h"
#include "bertie/data/tasks/code_point_bytes.h"
#include "bertie/data/tasks/encode_in_parts.h"

namespace bertie {
namespace {

// Words [begin, end) of a sentence.
struct WordRange {
  size_t begin, end;
};

// begins[w]: how many tokens the words before word w have, none more than `room`; begins.back(): all.
std::vector<WordRange> windows_of(std::span<const int64_t> begins, int64_t room) {
  std::vector<WordRange> windows;
  const size_t words = begins.size() - 1;
  for (size_t begin = 0;;) {
    size_t end = begin;
    while (end < words && begins[end + 1] - begins[begin] <= room) ++end;
    windows.push_back({begin, end});
    if (end == words) return windows;
    size_t next = begin + 1;
    while (next < end && begins[next] - begins[begin] < room / 2) ++next;
    // The last one begins earlier, so that it is full, too.
    if (begins[words] - begins[next] <= room)
      while (next > begin + 1 && begins[words] - begins[next - 1] <= room) --next;
    begin = next;
  }
}

class SentenceEncoder {
 public:
  SentenceEncoder(const Tokenizer& tokenizer, int64_t max_length)
      : tokenizer_(tokenizer), room_(max_length - 2) {
    BERTIE_CHECK(room_ >= 1, "task", "max_length must leave room for [CLS], a token and [SEP], got {}",
                 max_length);
  }

  void operator()(const TaggedSentence& sentence, int64_t number, TagWindows& to) const {
    std::vector<int32_t> ids;                // of all words, as many as a sequence has room for
    std::vector<int64_t> begins = {0}, cut;  // of each word
    for (const std::string& word : sentence.words) {
      tokenizer_.append_ids(word, ids);
      int64_t tokens = static_cast<int64_t>(ids.size()) - begins.back();
      cut.push_back(std::max<int64_t>(tokens - room_, 0));
      ids.resize(ids.size() - static_cast<size_t>(cut.back()));
      begins.push_back(static_cast<int64_t>(ids.size()));
      to.words_without_token += tokens == 0 ? 1 : 0;
    }
    const size_t first_word = to.words.size();
    to.words.resize(first_word + sentence.words.size());
    to.word_offsets.push_back(static_cast<int64_t>(to.words.size()));
    std::vector<int64_t> context(sentence.words.size(), -1);  // of the best place of each word so far
    for (WordRange window : windows_of(begins, room_)) {
      const int64_t row = to.sequences.tokens() + 1;
      add_sequence(std::span(ids).subspan(begins[window.begin], begins[window.end] - begins[window.begin]),
                   number, to.sequences);
      int64_t lost = 0;
      for (size_t w = window.begin; w < window.end; ++w) {
        lost += cut[w];
        int64_t left = begins[w] - begins[window.begin], right = begins[window.end] - begins[w + 1];
        if (begins[w] == begins[w + 1] || std::min(left, right) <= context[w]) continue;
        context[w] = std::min(left, right);
        to.words[first_word + w] = {to.sequences.size() - 1, row + left};
      }
      to.sequences.cut_off += lost;
      to.sequences.cut_sequences += lost > 0 ? 1 : 0;
    }
  }

 private:
  void add_sequence(std::span<const int32_t> ids, int64_t number, TaskSequences& to) const {
    std::vector<int32_t> tokens = {tokenizer_.vocabulary().cls_id()};
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    tokens.push_back(tokenizer_.vocabulary().sep_id());
    to.add(tokens, static_cast<int64_t>(tokens.size()), number);
  }

  const Tokenizer& tokenizer_;
  int64_t room_;
};

}  // namespace

void TagWindows::append(const TagWindows& more) {
  int64_t sequence = sequences.size(), row = sequences.tokens(), word = word_offsets.back();
  sequences.append(more.sequences);
  for (const WordPlace& place : more.words)
    words.push_back(place.row < 0 ? place : WordPlace{place.sequence + sequence, place.row + row});
  for (size_t s = 1; s < more.word_offsets.size(); ++s) word_offsets.push_back(word + more.word_offsets[s]);
  words_without_token += more.words_without_token;
}

std::span<const WordPlace> TagWindows::of(int64_t sentence) const {
  auto count = static_cast<int64_t>(word_offsets.size()) - 1;
  BERTIE_CHECK(sentence >= 0 && sentence < count, "task", "there are {} sentences, asked for number {}",
               count, sentence);
  return std::span(words).subspan(word_offsets[sentence],
                                  word_offsets[sentence + 1] - word_offsets[sentence]);
}

TagWindows encode_words(const Tokenizer& tokenizer, std::span<const TaggedSentence> sentences,
                        int64_t max_length) {
  SentenceEncoder encode(tokenizer, max_length);
  return encode_in_parts<TagWindows>(
      static_cast<int64_t>(sentences.size()),
      [&](int64_t i, TagWindows& windows) { encode(sentences[i], i, windows); });
}

TagWindows encode_tagged(const Tokenizer& tokenizer, std::span<const TaggedSentence> sentences,
                         int64_t max_length, const LabelSet& labels) {
  TagWindows windows = encode_words(tokenizer, sentences, max_length);
  TaskSequences& sequences = windows.sequences;
  sequences.labels = Array::full({sequences.tokens()}, TaskSequences::ignored_label, DType::i32);
  auto* label = sequences.labels.mutable_data<int32_t>();
  for (size_t s = 0; s < sentences.size(); ++s) {
    const TaggedSentence& sentence = sentences[s];
    std::span<const WordPlace> places = windows.of(static_cast<int64_t>(s));
    BERTIE_CHECK(sentence.tags.size() == sentence.words.size(), "task",
                 "{}: there must be as many tags as words, got {} words and {} tags", sentence.place.str(),
                 sentence.words.size(), sentence.tags.size());
    for (size_t w = 0; w < places.size(); ++w) {
      int32_t id = labels.id(sentence.tags[w], sentence.place_of(w));
      if (places[w].row >= 0) label[places[w].row] = id;
    }
  }
  return windows;
}

std::vector<TextSpan> words_of(const Tokenizer& tokenizer, std::string_view text) {
  Encoding encoding;
  tokenizer.encode({text}, {.add_special_tokens = false, .max_length = {}}, encoding);
  std::vector<int64_t> bytes = code_point_bytes(text);
  std::vector<TextSpan> words;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    int64_t begin = bytes[encoding.offsets[i].begin], end = bytes[encoding.offsets[i].end];
    bool continues = tokenizer.vocabulary().token(encoding.ids[i]).starts_with(continuation_prefix);
    if (continues && !words.empty())
      words.back().end = end;
    else
      words.push_back({begin, end});
  }
  return words;
}

}  // namespace bertie
