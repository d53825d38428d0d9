#include "apps/text_report.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "apps/console/program.h"
#include "bertie/autograd/error.h"

namespace bertie {
namespace {

constexpr double noteworthy_share = 0.01;

std::string_view bytes_of(std::span<const int32_t> ids) {
  return {reinterpret_cast<const char*>(ids.data()), ids.size_bytes()};
}

int64_t count(const TokenizedLines& lines, int32_t id) {
  return std::count(lines.ids.begin(), lines.ids.end(), id);
}

}  // namespace

void note_corpus(const Corpus& corpus) {
  auto first = std::find_if(corpus.sources.begin(), corpus.sources.end(),
                            [](const CorpusSource& source) { return source.replaced > 0; });
  if (first != corpus.sources.end())
    message("Note: {} invalid UTF-8 sequences are read as U+FFFD, the first in {}, line {}", corpus.replaced,
            shown(first->name), first->first_replaced_line);
  std::set<std::string> seen, told;
  for (const CorpusSource& source : corpus.sources) {
    std::error_code error;  // of what is no file
    std::string file = std::filesystem::canonical(source.name, error).string();
    if (error) file = source.name;
    if (!seen.insert(file).second && told.insert(file).second)
      message("Note: {} is given twice, so its text counts twice", shown(source.name));
  }
}

void note_unknown(const std::string& text, double share, const std::string& advice) {
  if (share > noteworthy_share)
    message("Note: {:.1f} % of {} is [UNK], unknown to the vocabulary. {}", 100 * share, text, advice);
}

double unknown_share(const TokenizedLines& lines, int32_t unk_id) {
  return static_cast<double>(count(lines, unk_id)) / std::max(1.0, static_cast<double>(lines.ids.size()));
}

void note_known_lines(const TokenizedLines& training, const TokenizedLines& held_out) {
  std::unordered_map<std::string_view, int64_t> occurrences;  // of held-out lines that weren't found so far
  for (int64_t i = 0; i < held_out.size(); ++i) ++occurrences[bytes_of(held_out[i])];
  int64_t known = 0;
  for (int64_t i = 0; i < training.size() && !occurrences.empty(); ++i) {
    auto found = occurrences.find(bytes_of(training[i]));
    if (found == occurrences.end()) continue;
    known += found->second;
    occurrences.erase(found);
  }
  if (known > 0)
    message("Note: {} of {} held-out lines stand in the training text, too, which flatters the scores", known,
            held_out.size());
}

void check_scorable(const char* option, const std::string& text, const TokenizedLines& lines,
                    const std::vector<bool>& scorable, int32_t unk_id) {
  BERTIE_CHECK(!lines.ids.empty(), option, "{} has no tokens: it is white space or control characters alone",
               text);
  bool any = std::any_of(lines.ids.begin(), lines.ids.end(), [&](int32_t id) { return scorable[id]; });
  auto tokens = static_cast<int64_t>(lines.ids.size()), unknown = count(lines, unk_id);
  BERTIE_CHECK(
      any, option,
      "nothing of {} can be scored: of its {} tokens {} are [UNK], unknown to the vocabulary, and {} "
      "--unscored or special",
      text, tokens, unknown, tokens - unknown);
}

}  // namespace bertie
