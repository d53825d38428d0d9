#include "bertie/data/tasks/tagged_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "bertie/autograd/error.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/tasks/text_lines.h"

namespace bertie {
namespace {

// "en:" where all words begin so.
std::string_view prefix_of(std::span<const TaggedSentence> sentences) {
  std::string_view first = sentences[0].words[0];
  size_t colon = first.find(':');
  constexpr size_t longest = 20;
  if (colon == 0 || colon > longest || first[0] == '-') return {};
  std::string_view prefix = first.substr(0, colon + 1);
  if (prefix.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != colon) return {};
  for (const TaggedSentence& sentence : sentences)
    for (const std::string& word : sentence.words)
      if (!word.starts_with(prefix)) return {};
  return prefix;
}

class TaggedFile {
 public:
  TaggedFile(const std::string& path, std::vector<TaggedSentence>& sentences)
      : lines_("tags", path), sentences_(sentences), first_(sentences.size()) {
    std::string_view name = path;
    if (name.ends_with(".gz")) name.remove_suffix(3);
    bool is_json = name.ends_with(".jsonl") || name.ends_with(".json");
    while (lines_.next()) {
      std::string_view line = stripped(lines_.line());
      is_json |= lines_.place().line == 1 && line.starts_with('{') && line.ends_with('}');
      if (!is_json)
        add_line(without_return(lines_.line()));
      else if (!line.empty())
        add_object(line);
    }
    end_sentence();
    BERTIE_CHECK(sentences.size() > first_, "tags", "{}: there must be at least one sentence",
                 *lines_.place().file);
    if (!is_json) remove_prefix();
  }

 private:
  void add_line(std::string_view line) {
    while (!line.empty() && is_blank(line.substr(line.size() - 1))) line.remove_suffix(1);
    if (line.empty() || line.starts_with("-DOCSTART-")) return end_sentence();
    bool has_tab = line.find('\t') != std::string_view::npos;
    size_t columns = 1;
    std::string_view word, rest = line;
    for (size_t end; (end = rest.find(has_tab ? '\t' : ' ')) != std::string_view::npos; ++columns) {
      if (columns == 1) word = rest.substr(0, end);
      rest.remove_prefix(has_tab ? end + 1 : std::min(rest.find_first_not_of(' ', end), rest.size()));
    }
    if (columns_ == 0) {
      columns_ = columns;
      first_line_ = lines_.place().line;
    }
    BERTIE_CHECK(columns >= 2, "tags", "{}: a line must be a word and its tag, or blank, got '{}'",
                 lines_.place().str(), line);
    BERTIE_CHECK(columns == columns_, "tags",
                 "{}: each line must have as many columns as line {}, {}, got {}: '{}'", lines_.place().str(),
                 first_line_, columns_, columns, line);
    BERTIE_CHECK(!word.empty(), "tags", "{}: a line must begin with a word, got '{}'", lines_.place().str(),
                 line);
    if (sentence_.words.empty()) sentence_.place = lines_.place();
    sentence_.words.emplace_back(word);
    sentence_.tags.emplace_back(rest);
  }

  void end_sentence() {
    if (!sentence_.words.empty()) sentences_.push_back(std::exchange(sentence_, {}));
  }

  void add_object(std::string_view line) {
    std::string place = lines_.place().str();
    nlohmann::json object = parse_json_object("tags", place, line);
    sentence_.words = texts(object, place, {"tokens", "words"});
    sentence_.tags = texts(object, place, {"tags", "ner_tags"});
    BERTIE_CHECK(sentence_.words.size() == sentence_.tags.size(), "tags",
                 "{}: there must be as many tags as words, got {} words and {} tags", place,
                 sentence_.words.size(), sentence_.tags.size());
    auto empty = std::find(sentence_.tags.begin(), sentence_.tags.end(), "");
    BERTIE_CHECK(empty == sentence_.tags.end(), "tags", "{}: a tag must not be empty, number {} is", place,
                 empty - sentence_.tags.begin() + 1);
    sentence_.place = lines_.place();
    sentence_.has_lines = false;
    end_sentence();
  }

  static std::vector<std::string> texts(const nlohmann::json& object, const std::string& place,
                                        std::pair<const char*, const char*> keys) {
    auto found = object.find(keys.first);
    if (found == object.end()) found = object.find(keys.second);
    BERTIE_CHECK(found != object.end(), "tags", "{}: there must be a key '{}' or '{}'", place, keys.first,
                 keys.second);
    bool are_texts =
        found->is_array() && std::all_of(found->begin(), found->end(),
                                         [](const nlohmann::json& text) { return text.is_string(); });
    BERTIE_CHECK(are_texts, "tags", "{}: '{}' must be an array of texts", place, found.key());
    return found->get<std::vector<std::string>>();
  }

  void remove_prefix() {
    std::span<TaggedSentence> sentences = std::span(sentences_).subspan(first_);
    size_t length = prefix_of(sentences).size();
    for (TaggedSentence& sentence : sentences)
      for (std::string& word : sentence.words) word.erase(0, length);
  }

  TextLines lines_;
  std::vector<TaggedSentence>& sentences_;
  size_t first_;  // of this file's
  TaggedSentence sentence_;
  size_t columns_ = 0;
  int64_t first_line_ = 0;
};

}  // namespace

TaggedData read_tagged(const std::vector<std::string>& paths) {
  TaggedData data;
  bool all_bioes = true;
  for (const std::string& path : paths) {
    size_t begin = data.sentences.size();
    TaggedFile file(path, data.sentences);
    std::span<const TaggedSentence> sentences = std::span(data.sentences).subspan(begin);
    TagScheme scheme = scheme_of(sentences);
    data.files.push_back({path, std::ssize(sentences), scheme, broken_tags(sentences, scheme)});
    if (scheme == TagScheme::none) continue;
    all_bioes &= scheme == TagScheme::bioes;
    data.scheme = all_bioes ? TagScheme::bioes : TagScheme::bio;
  }
  size_t begin = 0;
  for (const TaggedData::File& file : data.files) {
    std::span<TaggedSentence> sentences = std::span(data.sentences).subspan(begin, file.sentences);
    if (file.scheme != TagScheme::none && file.scheme != data.scheme)
      for (TaggedSentence& sentence : sentences) convert_tags(sentence.tags, data.scheme);
    begin += sentences.size();
  }
  return data;
}

void convert_tags(TaggedData& data, TagScheme to) {
  if (data.scheme == TagScheme::none || data.scheme == to) return;
  for (TaggedSentence& sentence : data.sentences) convert_tags(sentence.tags, to);
  data.scheme = to;
}

}  // namespace bertie
