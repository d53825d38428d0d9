#include "bertie/data/batches/corpus_words.h"

#include "bertie/data/batches/corpus_reader.h"

namespace bertie {

WordCounter count_words(const Corpus& corpus, const HeldOutRule& held_out, const WordSplitterOptions& options,
                        const CorpusProgress& progress) {
  WordCounter counter(options);
  CorpusReader reader(corpus, progress);
  std::vector<std::string_view> lines;
  while (reader.next()) {
    lines.clear();
    for (size_t i = 0; i < reader.lines().size(); ++i) {
      int64_t line = reader.first_line() + static_cast<int64_t>(i);
      if (!held_out.holds_out(line, reader.documents()[i])) lines.push_back(reader.lines()[i]);
    }
    counter.add(lines);
  }
  return counter;
}

}  // namespace bertie
