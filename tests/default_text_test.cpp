#include "data/default_text.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "data/corpus.h"

namespace bertie {
namespace {

TEST(DefaultText, IsACorpusOfScenes) {
  std::string text = default_text();
  EXPECT_EQ(text, default_text());
  auto ends = std::count_if(text.begin(), text.end(), [](char c) { return c == '.' || c == '?'; });
  EXPECT_NEAR(static_cast<double>(ends), 20000, 500);
  EXPECT_EQ(text.find_first_of("{|}"), std::string::npos);  // the grammar's own signs
  Corpus corpus;
  add_text(corpus, "default text", text);
  EXPECT_EQ(corpus.replaced, 0);
  EXPECT_GT(corpus.documents(), 1000);
  for (std::string_view line : corpus.lines)
    EXPECT_TRUE(line.ends_with('.') && std::isupper(line[0])) << line;
}

TEST(DefaultText, HasSomeHundredWordsInAgreement) {
  std::istringstream stream(default_text());
  std::set<std::string> words;
  for (std::string word; stream >> word;) words.insert(word);
  EXPECT_GT(words.size(), 200u);
  EXPECT_LT(words.size(), 400u);
  std::string text = default_text();
  EXPECT_NE(text.find("The baker near the stone bridges bakes "), std::string::npos);
  EXPECT_NE(text.find("The bakers with the old dog bake "), std::string::npos);
  EXPECT_EQ(text.find("The bakers with the old dog bakes "), std::string::npos);
  EXPECT_EQ(text.find("The baker with the two brothers bake "), std::string::npos);
}

}  // namespace
}  // namespace bertie
