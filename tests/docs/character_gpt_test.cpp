// docs/character_gpt.md quotes a program and shows what it prints. Losses may differ in the last digits from
// one kind of CPU to the next; what the model says after learning the text by heart doesn't.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#define main character_gpt
#include "docs/character_gpt.cpp"
#undef main

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The block of text on the page.
std::vector<std::string> shown() {
  std::ifstream file(std::string(BERTIE_SOURCE_DIR) + "/docs/character_gpt.md");
  std::stringstream page;
  page << file.rdbuf();
  std::string text = page.str(), open = "\n```text\n";
  size_t begin = text.find(open) + open.size();
  return lines_of(text.substr(begin, text.find("```\n", begin) - begin));
}

double loss_of(const std::string& line) { return std::stod(line.substr(line.find("loss ") + 5)); }

TEST(CharacterGpt, PrintsWhatThePageShows) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(character_gpt(), 0);
  std::vector<std::string> printed = lines_of(testing::internal::GetCapturedStdout()), expected = shown();
  ASSERT_EQ(printed.size(), expected.size());
  ASSERT_GT(printed.size(), 3u);
  for (size_t i = 0; i + 1 < printed.size(); ++i) {
    EXPECT_EQ(printed[i].substr(0, 9), expected[i].substr(0, 9));
    EXPECT_NEAR(loss_of(printed[i]), loss_of(expected[i]), 0.05) << printed[i];
  }
  EXPECT_EQ(printed.back(), expected.back());
  EXPECT_NE(text.find(printed.back()), std::string::npos) << "not in the text: " << printed.back();
  // Before it has learned, it can't do better than chance; a token that saw what follows would.
  EXPECT_NEAR(loss_of(printed[0]), std::log(static_cast<double>(alphabet.size())), 0.3);
}

}  // namespace
