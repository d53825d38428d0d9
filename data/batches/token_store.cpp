#include "bertie/data/batches/token_store.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"
#include "bertie/data/batches/corpus_reader.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/files/content_hash.h"
#include "bertie/data/files/folder_lock.h"
#include "bertie/data/files/json_object.h"
#include "bertie/data/files/mapped_file.h"
#include "bertie/data/tokenizer/tokenizer_hash.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t format_version = 1;
constexpr const char* manifest_name = "manifest.json";
constexpr const char* vocabulary_name = "vocab.txt";
constexpr const char* training_name = "training";
constexpr const char* held_out_name = "held_out";

std::string file_of(const std::string& store, const std::string& part, const char* kind) {
  return fmt::format("{}/{}.{}", store, part, kind);
}

// Writes numbers one after the other.
template <class T>
class NumberFile {
 public:
  explicit NumberFile(const std::string& path) : file_(path) {}
  void add(std::span<const T> numbers) {
    file_.write({reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()});
    count_ += static_cast<int64_t>(numbers.size());
  }
  void add(T number) { add(std::span<const T>(&number, 1)); }
  int64_t count() const { return count_; }
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
  int64_t count_ = 0;
};

// One of the two parts of a store, under construction.
class PartWriter {
 public:
  PartWriter(const std::string& store, const std::string& name)
      : ids_(file_of(store, name, "ids")),
        offsets_(file_of(store, name, "offsets")),
        documents_(file_of(store, name, "documents")) {
    offsets_.add(0);
    documents_.add(0);
  }

  // Some sequences of a line.
  void add(int64_t document, const TokenVectors& from, int64_t begin, int64_t end) {
    if (begin == end) return;
    if (document != document_) end_document();
    document_ = document;
    const int64_t* offsets = from.offsets.data();
    ids_.add(std::span(from.ids).subspan(static_cast<size_t>(offsets[begin]),
                                         static_cast<size_t>(offsets[end] - offsets[begin])));
    for (int64_t i = begin; i < end; ++i) offsets_.add(end_ += offsets[i + 1] - offsets[i]);
    has_sequences_ = true;
  }
  Json finish() {
    end_document();
    ids_.commit();
    offsets_.commit();
    documents_.commit();
    return {
        {"ids", ids_.count()}, {"sequences", offsets_.count() - 1}, {"documents", documents_.count() - 1}};
  }

 private:
  void end_document() {
    if (has_sequences_) documents_.add(offsets_.count() - 1);
    has_sequences_ = false;
  }

  NumberFile<int32_t> ids_;
  NumberFile<int64_t> offsets_, documents_;
  int64_t end_ = 0, document_ = -1;
  bool has_sequences_ = false;
};

Json to_json(const CorpusSource& source) {
  return {{"path", source.path},
          {"bytes", source.bytes},
          {"modified_ns", source.modified_ns},
          {"hash", source.hash},
          {"lines", source.lines},
          {"documents", source.documents},
          {"replaced", source.replaced},
          {"first_replaced_line", source.first_replaced_line}};
}

// Of files alone, and of those only that had been there for a while when they were read: one that changes
// just now may change again without another time of modification.
Json sources_of(const Corpus& corpus, int64_t now_ns) {
  constexpr int64_t a_while = 2'000'000'000;
  Json sources = Json::array();
  for (const CorpusSource& source : corpus.sources)
    if (!source.text && !source.path.starts_with("/proc/") && source.modified_ns < now_ns - a_while)
      sources.push_back(to_json(source));
  return sources;
}

void write_store(const std::string& store, const Corpus& corpus, const Tokenizer& tokenizer,
                 const std::string& fingerprint, const TokenStoreOptions& options) {
  int64_t now_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  std::error_code ignored;
  fs::remove(store + "/" + manifest_name, ignored);  // what it tells of is replaced
  PartWriter training(store, training_name), held_out(store, held_out_name);
  HeldOutRule rule = options.hold_out ? HeldOutRule(corpus) : HeldOutRule();
  LineTokenizer lines(tokenizer, options.max_length);
  CorpusReader reader(corpus, options.progress);
  while (reader.next()) {
    size_t line = 0;
    for (const LineTokenizer::Part& part : lines.tokenize(reader.lines())) {
      for (size_t i = 0; i + 1 < part.line_offsets.size(); ++i, ++line) {
        int64_t document = reader.documents()[line];
        bool is_held_out = rule.holds_out(reader.first_line() + static_cast<int64_t>(line), document);
        (is_held_out ? held_out : training)
            .add(document, part.sequences, part.line_offsets[i], part.line_offsets[i + 1]);
      }
    }
  }
  tokenizer.vocabulary().write(store + "/" + vocabulary_name);
  Json manifest = {{"token_store", format_version},
                   {"fingerprint", fingerprint},
                   {"vocabulary_size", tokenizer.vocabulary().size()},
                   {"document_ends", name_of(corpus.ends)},
                   {training_name, training.finish()},
                   {held_out_name, held_out.finish()},
                   {"sources", sources_of(corpus, now_ns)}};
  write_file_atomically(store + "/" + manifest_name,
                        manifest.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

// A number that isn't below 0.
int64_t count_in(const Json& object, const char* key, const std::string& path) {
  auto value = object.find(key);
  bool valid = value != object.end() && value->is_number_integer() && value->get<double>() >= 0 &&
               value->get<double>() < 0x1p62;
  BERTIE_CHECK(valid, "cache", "'{}' must have a count '{}'", path, key);
  return value->get<int64_t>();
}

const Json& member(const Json& object, const char* key, Json::value_t type, const std::string& path) {
  auto value = object.find(key);
  BERTIE_CHECK(value != object.end() && value->type() == type, "cache", "'{}' must have a {} '{}'", path,
               Json(type).type_name(), key);
  return *value;
}

Json read_manifest(const std::string& store) {
  std::string path = store + "/" + manifest_name;
  Json manifest = parse_json_object("cache", fmt::format("'{}'", path), read_file(path));
  int64_t version = count_in(manifest, "token_store", path);
  BERTIE_CHECK(version == format_version, "cache", "'{}' must be of version {}, it is of {}", path,
               format_version, version);
  return manifest;
}

template <class T>
std::span<const T> map_numbers(const std::string& path, int64_t count, std::vector<MappedFile>& files) {
  files.push_back(map_file(path));
  std::string_view bytes = files.back().bytes;
  BERTIE_CHECK(bytes.size() / sizeof(T) == static_cast<size_t>(count) && bytes.size() % sizeof(T) == 0,
               "cache", "'{}' must have {} numbers of {} bytes, it has {} bytes", path, count, sizeof(T),
               bytes.size());
  return {reinterpret_cast<const T*>(bytes.data()), static_cast<size_t>(count)};
}

constexpr int64_t numbers_per_task = 1 << 18;

// Throws unless they rise from 0 to `end`, each by one at least.
void check_offsets(const std::string& path, std::span<const int64_t> offsets, int64_t end) {
  std::atomic<bool> rise = offsets.front() == 0 && offsets.back() == end;
  parallel_ranges(static_cast<int64_t>(offsets.size()) - 1, numbers_per_task,
                  [&](int64_t begin, int64_t stop) {
                    bool good = true;
                    for (int64_t i = begin; i < stop; ++i) good &= offsets[i] < offsets[i + 1];
                    if (!good) rise = false;
                  });
  BERTIE_CHECK(rise, "cache", "'{}' is damaged: its numbers must rise from 0 to {}", path, end);
}

void check_ids(const std::string& path, std::span<const int32_t> ids, int32_t vocabulary_size) {
  std::atomic<bool> known = true;
  parallel_ranges(static_cast<int64_t>(ids.size()), numbers_per_task, [&](int64_t begin, int64_t end) {
    bool good = true;
    for (int64_t i = begin; i < end; ++i)
      good &= static_cast<uint32_t>(ids[i]) < static_cast<uint32_t>(vocabulary_size);
    if (!good) known = false;
  });
  BERTIE_CHECK(known, "cache", "'{}' is damaged: its ids must be from 0 to {}", path, vocabulary_size - 1);
}

TokenizedLines map_part(const std::string& store, const std::string& name, const Json& counts,
                        int32_t vocabulary_size, const std::string& manifest) {
  std::string ids = file_of(store, name, "ids"), offsets = file_of(store, name, "offsets"),
              documents = file_of(store, name, "documents");
  auto files = std::make_shared<std::vector<MappedFile>>();
  TokenizedLines lines;
  lines.ids = map_numbers<int32_t>(ids, count_in(counts, "ids", manifest), *files);
  lines.offsets = map_numbers<int64_t>(offsets, count_in(counts, "sequences", manifest) + 1, *files);
  lines.document_offsets =
      map_numbers<int64_t>(documents, count_in(counts, "documents", manifest) + 1, *files);
  lines.owner = files;
  check_offsets(offsets, lines.offsets, static_cast<int64_t>(lines.ids.size()));
  check_offsets(documents, lines.document_offsets, lines.size());
  check_ids(ids, lines.ids, vocabulary_size);
  return lines;
}

}  // namespace

std::string token_store_fingerprint(const Corpus& corpus, const Tokenizer& tokenizer,
                                    const TokenStoreOptions& options) {
  ContentHash hash;
  hash.add_item(format_version);
  hash.add_item(name_of(corpus.ends));
  for (const CorpusSource& source : corpus.sources)
    if (source.lines > 0) hash.add_item(source.hash);
  add_tokenizer(hash, tokenizer);
  hash.add_item(int64_t{options.hold_out});
  hash.add_item(options.max_length);
  return hash.hex();
}

TokenStore open_token_store(const std::string& cache, const std::string& fingerprint,
                            const Vocabulary& vocabulary) {
  std::string store = cache + "/" + fingerprint, path = store + "/" + manifest_name;
  Json manifest = read_manifest(store);
  std::string found = member(manifest, "fingerprint", Json::value_t::string, path).get<std::string>();
  BERTIE_CHECK(found == fingerprint, "cache", "'{}' must have the fingerprint {}, it has {}", path,
               fingerprint, found);
  int64_t size = count_in(manifest, "vocabulary_size", path);
  BERTIE_CHECK(size == vocabulary.size(), "cache", "'{}' must be of a vocabulary of {}, it is of one of {}",
               path, vocabulary.size(), size);
  auto part = [&](const char* name) {
    const Json& counts = member(manifest, name, Json::value_t::object, path);
    return map_part(store, name, counts, vocabulary.size(), path);
  };
  return {part(training_name), part(held_out_name), fingerprint};
}

TokenStore tokenize_corpus(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& cache,
                           const TokenStoreOptions& options) {
  std::string fingerprint = token_store_fingerprint(corpus, tokenizer, options),
              store = cache + "/" + fingerprint;
  std::optional<FolderLock> lock;  // others who want the same store wait until it is there
  std::error_code error;
  while (!lock) {
    fs::create_directories(store, error);
    BERTIE_CHECK(!error, "cache", "can't make the folder '{}': {}", store, error.message());
    lock = FolderLock::wait_and_lock(store);
  }
  if (fs::exists(store + "/" + manifest_name, error)) {
    try {
      return open_token_store(cache, fingerprint, tokenizer.vocabulary());
    } catch (const Error& failure) {
      if (options.note) options.note(fmt::format("{}; the text is tokenized again", failure.what()));
    }
  }
  try {
    write_store(store, corpus, tokenizer, fingerprint, options);
    return open_token_store(cache, fingerprint, tokenizer.vocabulary());
  } catch (...) {
    for (const char* part : {training_name, held_out_name})
      for (const char* kind : {"ids", "offsets", "documents"}) fs::remove(file_of(store, part, kind), error);
    fs::remove(store + "/" + vocabulary_name, error);
    fs::remove(store, error);  // unless something else is in it
    throw;
  }
}

std::optional<Vocabulary> stored_vocabulary(const std::string& cache, const std::string& fingerprint) {
  std::string store = cache + "/" + fingerprint + "/", path = store + vocabulary_name;
  std::error_code error;
  if (!fs::exists(store + manifest_name, error) || !fs::exists(path, error)) return {};
  return Vocabulary::read(path);
}

std::map<std::string, CorpusSource> known_sources(const std::string& cache, Documents documents) {
  std::map<std::string, CorpusSource> known;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(cache, error)) {
    std::string store = entry.path().string(), path = store + "/" + manifest_name;
    if (!fs::exists(path, error)) continue;
    try {
      Json manifest = read_manifest(store);
      if (member(manifest, "document_ends", Json::value_t::string, path) != name_of(documents)) continue;
      for (const Json& from : member(manifest, "sources", Json::value_t::array, path)) {
        CorpusSource source;
        source.path = member(from, "path", Json::value_t::string, path).get<std::string>();
        source.hash = member(from, "hash", Json::value_t::string, path).get<std::string>();
        source.bytes = count_in(from, "bytes", path);
        source.modified_ns = count_in(from, "modified_ns", path);
        source.lines = count_in(from, "lines", path);
        source.documents = count_in(from, "documents", path);
        source.replaced = count_in(from, "replaced", path);
        source.first_replaced_line = count_in(from, "first_replaced_line", path);
        // Of one file read twice with a change in between the later one counts.
        CorpusSource& place = known[source.path];
        if (place.modified_ns <= source.modified_ns) place = std::move(source);
      }
    } catch (const Error&) {
      continue;  // of no use; who wants this very store is told
    }
  }
  return known;
}

}  // namespace bertie
