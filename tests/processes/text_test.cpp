// Every process has the tokens that one alone would have, whether they share a folder or not.
#include <gmock/gmock.h>

#include <filesystem>

#include "apps/pretraining_text.h"
#include "apps/training_text.h"
#include "bertie/autograd/random.h"
#include "bertie/data/files/atomic_file.h"
#include "bertie/data/tokenizer/wordpiece_trainer.h"
#include "tests/message_of.h"
#include "tests/processes/everyone.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

using testing::HasSubstr;

std::string lines_of_text(int64_t lines) {
  Random random(4);
  std::string text;
  for (int64_t line = 0; line < lines; ++line) {
    for (uint64_t words = 1 + random.below(12); words > 0; --words)
      for (uint64_t letters = 1 + random.below(5); letters > 0; --letters)
        text += std::string(1, static_cast<char>('a' + random.below(6))) + (letters == 1 ? " " : "");
    text += line % 3 == 2 ? "\n\n" : "\n";
  }
  return text;
}

// A file of this process's own, and the cache of the first one's, or its own.
struct Place {
  explicit Place(bool shares_cache) {
    corpus = folder / "text";
    write_file_atomically(corpus, lines_of_text(300));
    cache = shares_cache ? everyone().of_first(folder / "cache") : folder / "cache";
  }
  ~Place() { everyone().gather("done"); }  // the first one's folder is needed till then

  TemporaryFolder folder;
  std::string corpus, cache;
};

PretrainOptions options_in(const std::string& corpus, const std::string& cache) {
  PretrainOptions options;
  options.corpus = {corpus};
  options.cache = cache;
  options.vocab_size = 60;
  options.max_length = 12;
  return options;
}

template <class T>
std::vector<T> numbers_of(std::span<const T> values) {
  return {values.begin(), values.end()};
}

void expect_same_lines(const TokenizedLines& a, const TokenizedLines& b) {
  EXPECT_GT(a.size(), 0);
  EXPECT_EQ(numbers_of(a.ids), numbers_of(b.ids));
  EXPECT_EQ(numbers_of(a.offsets), numbers_of(b.offsets));
  EXPECT_EQ(numbers_of(a.document_offsets), numbers_of(b.document_offsets));
}

TEST(TextTogether, IsThatOfOneProcess) {
  for (bool shares_cache : {false, true}) {
    Place place(shares_cache);
    PretrainOptions options = options_in(place.corpus, place.cache),
                    own_options = options_in(place.corpus, place.folder / "alone");
    PretrainingTextReader own(own_options), reader(options);
    Tokenizer own_tokenizer = own.new_tokenizer(), tokenizer = reader.new_tokenizer(everyone());
    EXPECT_EQ(tokenizer.vocabulary().tokens(), own_tokenizer.vocabulary().tokens());
    for (bool is_there : {false, true}) {
      SCOPED_TRACE(is_there);
      PretrainingText alone = own.tokenize(own_tokenizer), text = reader.tokenize(tokenizer, everyone());
      EXPECT_EQ(text.fingerprint, alone.fingerprint);
      expect_same_lines(text.training, alone.training);
      expect_same_lines(text.held_out, alone.held_out);
    }
  }
}

// The folder of a store that a killed process left is there, but not its tokens.
TEST(TextTogether, IsTokenizedAgainWhereAStoreIsIncomplete) {
  for (bool shares_cache : {false, true}) {
    Place place(shares_cache);
    Corpus corpus = read_corpus({place.corpus});
    Tokenizer tokenizer(train_wordpiece(count_training_words(corpus, {}, {}), {.size = 60}), {});
    auto tokenize = [&] {
      return tokenize_training_text(corpus, tokenizer, place.cache, 12, true, everyone());
    };
    TokenStore store = tokenize();
    everyone().gather("opened");
    if (everyone().is_first() || !shares_cache)
      std::filesystem::remove(place.cache + "/" + store.fingerprint + "/manifest.json");
    everyone().gather("removed");
    TokenStore again = tokenize();
    expect_same_lines(again.training, store.training);
    expect_same_lines(again.held_out, store.held_out);
  }
}

TEST(TextTogether, MustBeTheSameForAll) {
  if (everyone().count() == 1) return;
  Place place(false);
  Corpus corpus = read_corpus({place.corpus});
  Tokenizer tokenizer(train_wordpiece(count_training_words(corpus, {}, {}), {.size = 60}), {});
  int last = everyone().count() - 1;
  if (everyone().rank() == last) write_file_atomically(place.corpus, lines_of_text(301));
  corpus = read_corpus({place.corpus});
  std::string message =
      message_of([&] { tokenize_training_text(corpus, tokenizer, place.cache, 12, true, everyone()); });
  EXPECT_THAT(message,
              HasSubstr("[corpus] the text, its tokenizer or their options differ between process 1 of"));
  EXPECT_THAT(message, HasSubstr(fmt::format("and process {} of", last + 1)));
  EXPECT_THAT(everyone().gather("goes on"), testing::Each("goes on"));
}

}  // namespace
}  // namespace bertie
