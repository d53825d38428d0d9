// All lines of a small corpus, in memory.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/batches/corpus_reader.h"

namespace bertie {

struct CorpusLines {
  explicit CorpusLines(const Corpus& corpus) {
    for (CorpusReader reader(corpus); reader.next();) {
      for (size_t i = 0; i < reader.lines().size(); ++i) {
        bool begins = reader.documents()[i] == static_cast<int64_t>(document_offsets.size()) - 1;
        if (begins) document_offsets.push_back(document_offsets.back());
        ++document_offsets.back();
        lines.push_back(texts.emplace_back(reader.lines()[i]));
      }
    }
  }
  CorpusLines(const CorpusLines&) = delete;
  CorpusLines& operator=(const CorpusLines&) = delete;

  // Those that are held out, or the others.
  std::vector<std::string_view> part(const HeldOutRule& rule, bool held_out) const {
    std::vector<std::string_view> result;
    for (size_t document = 0; document + 1 < document_offsets.size(); ++document)
      for (int64_t line = document_offsets[document]; line < document_offsets[document + 1]; ++line)
        if (rule.holds_out(line, static_cast<int64_t>(document)) == held_out) result.push_back(lines[line]);
    return result;
  }

  std::deque<std::string> texts;
  std::vector<std::string_view> lines;          // which point into them
  std::vector<int64_t> document_offsets = {0};  // document d is lines [offsets[d], offsets[d + 1])
};

}  // namespace bertie
