#include "bertie/data/batches/corpus_reader.h"

#include "bertie/autograd/error.h"
#include "bertie/data/batches/source_reader.h"

namespace bertie {

CorpusReader::CorpusReader(const Corpus& corpus, CorpusProgress progress)
    : corpus_(corpus), progress_(std::move(progress)) {
  for (const CorpusSource& source : corpus.sources) total_ += source.bytes;
}

CorpusReader::~CorpusReader() = default;

std::span<const std::string_view> CorpusReader::lines() const { return reader_->lines(); }

bool CorpusReader::next() {
  first_line_ += static_cast<int64_t>(documents_.size());
  documents_.clear();
  for (; source_ < corpus_.sources.size(); ++source_) {
    const CorpusSource& source = corpus_.sources[source_];
    if (!reader_) reader_ = std::make_unique<SourceReader>(source, corpus_.ends);
    while (reader_->next()) {
      if (progress_) progress_(done_ + reader_->position(), total_);
      if (reader_->lines().empty()) continue;
      for (size_t i = 0; i < reader_->lines().size(); ++i)
        documents_.push_back(last_document_ += reader_->begins_document(i) ? 1 : 0);
      return true;
    }
    BERTIE_CHECK(reader_->found().hash == source.hash, "corpus", "'{}' changed while it was read",
                 source.name);
    done_ += source.bytes;
    reader_.reset();
  }
  return false;
}

}  // namespace bertie
