#include "bertie/data/batches/corpus.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "bertie/autograd/error.h"
#include "bertie/data/batches/source_reader.h"
#include "bertie/data/files/input_file.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

constexpr int64_t held_out_every = 20;

// The regular files in a folder and in those within, in order, but for hidden ones.
void add_files_of(const fs::path& folder, std::vector<std::string>& files) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (!entry->path().filename().string().starts_with('.')) entries.push_back(entry->path());
  if (error) fail_to_read(folder.string(), error.value());
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) {
    // A link to a folder might lead back to where it is.
    if (fs::is_directory(fs::symlink_status(entry, error)))
      add_files_of(entry, files);
    else if (fs::is_regular_file(entry, error))
      files.push_back(entry.string());
  }
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  int status = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  BERTIE_CHECK(status == 0 && !paths.empty(), "corpus", "no file fits the pattern '{}'", pattern);
  return paths;
}

// The files that a path stands for: itself, unless it is a folder or a pattern.
std::vector<std::string> files_of(const std::string& path) {
  std::error_code error;
  std::vector<std::string> files;
  if (path != "-" && fs::is_directory(path, error)) {
    add_files_of(path, files);
    BERTIE_CHECK(!files.empty(), "corpus", "the folder '{}' has no files", path);
  } else if (path.find_first_of("*?[") != std::string::npos && !fs::exists(path, error)) {
    for (const std::string& match : matches(path)) {
      std::vector<std::string> more = files_of(match);
      files.insert(files.end(), more.begin(), more.end());
    }
  } else {
    files.push_back(path);
  }
  return files;
}

// A file without a name, which is gone when nobody has it open any more.
class PipeStore {
 public:
  explicit PipeStore(const std::string& folder) : name_(folder + "/pipe-XXXXXX") {
    std::error_code ignored;  // mkostemp() tells
    fs::create_directories(folder, ignored);
    descriptor_ = ::mkostemp(name_.data(), O_CLOEXEC);
    if (descriptor_ < 0) fail_with(errno);
    ::unlink(name_.c_str());
  }
  ~PipeStore() { ::close(descriptor_); }
  PipeStore(const PipeStore&) = delete;
  PipeStore& operator=(const PipeStore&) = delete;

  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno != EINTR) fail_with(errno);
      if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  // By which it can be opened.
  std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  [[noreturn]] void fail_with(int error) const {
    fail("write", "can't write '{}', for the text of a pipe: {}", name_,
         std::generic_category().message(error));
  }

  std::string name_;
  int descriptor_;
};

// Keeps a pipe's text, as it is without compression.
std::shared_ptr<const PipeStore> store(InputFile& pipe, const CorpusOptions& options, int64_t done,
                                       int64_t total) {
  auto kept = std::make_shared<PipeStore>(options.pipe_folder);
  std::string block(1 << 20, '\0');
  while (size_t got = pipe.read(block.data(), block.size())) {
    kept->write(std::string_view(block).substr(0, got));
    if (options.progress) options.progress(done + pipe.position(), total);
  }
  return kept;
}

class Scan {
 public:
  explicit Scan(const CorpusOptions& options) : options_(options) { corpus_.ends = options.documents; }

  // `given`: as the user has it, who is told where it has no text.
  void add(const std::string& given) {
    for (const std::string& file : files_of(given)) {
      std::error_code error;
      auto bytes = fs::file_size(file, error);  // of what is no file: an error
      if (!error) total_ += static_cast<int64_t>(bytes);
      given_.push_back({file, given});
    }
  }
  Corpus run() {
    int64_t lines_before = 0;
    for (size_t i = 0; i < given_.size(); ++i) {
      CorpusSource source = scan(given_[i].file);
      corpus_.lines += source.lines;
      corpus_.documents += source.documents;
      corpus_.replaced += source.replaced;
      corpus_.sources.push_back(std::move(source));
      if (i + 1 < given_.size() && given_[i + 1].given == given_[i].given &&
          given_[i].given != given_[i].file)
        continue;
      BERTIE_CHECK(corpus_.lines > lines_before, "corpus", "'{}' has no text, it is {}", given_[i].given,
                   corpus_.sources.back().bytes > 0 ? "blank" : "empty");
      lines_before = corpus_.lines;
    }
    corpus_.stored = std::make_shared<std::vector<std::shared_ptr<const PipeStore>>>(std::move(stored_));
    return std::move(corpus_);
  }

  CorpusSource read(const CorpusSource& source) {
    SourceReader reader(source, options_.documents);
    while (reader.next())
      if (options_.progress) options_.progress(done_ + reader.position(), total_);
    return reader.found();
  }

 private:
  struct Given {
    std::string file, given;
  };

  CorpusSource scan(const std::string& file) {
    auto known = options_.known.find(file);
    if (file == "-" && known != options_.known.end()) return known->second;
    InputFile input(file, InputFile::Kind::text);
    CorpusSource source;
    source.name = file;
    if (file == "-" || !input.is_regular()) {
      stored_.push_back(store(input, options_, done_, total_));
      done_ += input.position();
      source.path = stored_.back()->path();
      return read(source);
    }
    source.path = fs::absolute(file).lexically_normal().string();
    known = options_.known.find(source.path);
    bool is_known = known != options_.known.end() &&
                    known->second.bytes == static_cast<int64_t>(input.bytes()) &&
                    known->second.modified_ns == input.modified_ns();
    CorpusSource result = is_known ? known->second : read(source);
    result.name = file;
    done_ += result.bytes;
    return result;
  }

  const CorpusOptions& options_;
  Corpus corpus_;
  std::vector<Given> given_;
  std::vector<std::shared_ptr<const PipeStore>> stored_;
  int64_t done_ = 0, total_ = 0;  // bytes
};

}  // namespace

std::string_view name_of(Documents documents) {
  switch (documents) {
    case Documents::lines:
      return "lines";
    case Documents::files:
      return "files";
    default:
      return "blank-lines";
  }
}

Corpus read_corpus(const std::vector<std::string>& paths, const CorpusOptions& options) {
  Scan scan(options);
  for (const std::string& path : paths) scan.add(path);
  return scan.run();
}

Corpus text_corpus(const std::string& name, std::string text, Documents documents) {
  CorpusSource source;
  source.name = name;
  source.text = std::make_shared<const std::string>(std::move(text));
  SourceReader reader(source, documents);
  while (reader.next()) {
  }
  Corpus corpus{documents, {reader.found()}, 0, 0, 0, nullptr};
  const CorpusSource& found = corpus.sources[0];
  BERTIE_CHECK(found.lines > 0, "corpus", "'{}' has no text, it is {}", name,
               found.bytes > 0 ? "blank" : "empty");
  corpus.lines = found.lines;
  corpus.documents = found.documents;
  corpus.replaced = found.replaced;
  return corpus;
}

HeldOutRule::HeldOutRule(const Corpus& corpus)
    : unit_(corpus.documents >= held_out_every ? Unit::document
            : corpus.lines >= held_out_every   ? Unit::line
                                               : Unit::last_line),
      lines_(corpus.lines) {
  BERTIE_CHECK(lines_ > 1, "corpus",
               "a corpus must have at least 2 lines, one to train on and one to hold out, got {}", lines_);
}

bool HeldOutRule::holds_out(int64_t line, int64_t document) const {
  switch (unit_) {
    case Unit::document:
      return document % held_out_every == held_out_every - 1;
    case Unit::line:
      return line % held_out_every == held_out_every - 1;
    case Unit::last_line:
      return line == lines_ - 1;
    default:
      return false;
  }
}

}  // namespace bertie
