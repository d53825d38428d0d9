// docs/bert_in_four_commands.md: its commands are run here, in the page's order and in one folder, and what
// they print is what stands there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bertie/data/files/mapped_file.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

std::string page() { return read_file(BERTIE_SOURCE_DIR "/docs/bert_in_four_commands.md"); }

struct Block {
  std::string kind, text;  // "sh", "text" or "json"
};

std::vector<Block> blocks() {
  std::istringstream lines(page());
  std::vector<Block> found;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("```")) continue;
    Block block{line.substr(3), ""};
    while (std::getline(lines, line) && line != "```") block.text += line + "\n";
    found.push_back(block);
  }
  return found;
}

// A folder in which build/release holds the programs.
class Shell {
 public:
  Shell() {
    std::filesystem::create_directory(folder_ / "build");
    std::filesystem::create_directory_symlink(BERTIE_BINARY_DIR, folder_ / "build/release");
  }
  // What the commands write to standard output; the test fails where one of them does.
  std::string run(const std::string& commands) {
    std::ofstream(folder_ / "commands") << "export OMP_NUM_THREADS=1\n" << commands;
    int status = std::system(
        fmt::format("cd '{}' && bash -eo pipefail commands >output 2>errors", folder_.path()).c_str());
    EXPECT_EQ(status, 0) << commands << read_file(folder_ / "errors");
    return read_file(folder_ / "output");
  }

 private:
  TemporaryFolder folder_;
};

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

// Numbers agree to a thousandth, or to a thousandth of theirs where they are above 1; all else exactly.
bool same_word(const std::string& a, const std::string& b) {
  char *end_a = nullptr, *end_b = nullptr;
  double x = std::strtod(a.c_str(), &end_a), y = std::strtod(b.c_str(), &end_b);
  if (end_a == a.c_str() || end_b == b.c_str()) return a == b;
  return std::string(end_a) == end_b && std::abs(x - y) <= 1e-3 * std::max(1.0, std::abs(x));
}

// `shown` is what the output ends with.
void expect_shown(const std::string& shown, const std::string& output) {
  std::vector<std::string> expected = words(shown), actual = words(output);
  ASSERT_FALSE(expected.empty());
  ASSERT_GE(actual.size(), expected.size()) << output;
  actual.erase(actual.begin(), actual.end() - static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_TRUE(same_word(expected[i], actual[i])) << "the page has " << expected[i] << " in\n"
                                                   << shown << "but it is\n"
                                                   << output;
}

TEST(DocsFourCommands, PrintWhatThePageShows) {
  Shell shell;
  std::string output;
  int shown = 0;
  for (const Block& block : blocks()) {
    if (block.kind == "sh") {
      output = shell.run(block.text);
    } else {
      expect_shown(block.text, output);
      ++shown;
    }
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_EQ(shown, 8);
}

TEST(DocsFourCommands, TheLossIsTheLogarithmOfTheProbability) {
  std::string text = page();
  size_t at = text.find("−log 0.");
  ASSERT_NE(at, std::string::npos);
  double probability = 0, loss = 0;
  ASSERT_EQ(std::sscanf(text.c_str() + at, "−log %lf = %lf", &probability, &loss), 2);
  EXPECT_NEAR(loss, -std::log(probability), 1e-3);
}

// The ids of a sentence with the published vocabulary.
TEST(DocsFourCommands, TheIdsOfBertBaseUncased) {
  const char* data = std::getenv("BERTIE_TEST_DATA");
  if (!data) GTEST_SKIP() << "BERTIE_TEST_DATA is not set";
  std::string encode = fmt::format(
      "build/release/wordpiece encode --vocab '{}/vocab/bert-base-uncased-vocab.txt' --mask 3 --json "
      "--no-special-tokens --text 'I love playing soccer.'\n",
      std::filesystem::absolute(data).string());
  std::string output = Shell().run(encode);
  for (const char* key : {"ids", "labels"}) {
    std::string start = fmt::format("the {} `", key), text = page();
    std::replace(text.begin(), text.end(), '\n', ' ');
    size_t at = text.find(start);
    ASSERT_NE(at, std::string::npos) << start;
    at += start.size();
    std::string ids = text.substr(at, text.find('`', at) - at);
    std::replace(ids.begin(), ids.end(), ' ', ',');
    EXPECT_NE(output.find(fmt::format("\"{}\":[{}]", key, ids)), std::string::npos) << output;
  }
}

}  // namespace
}  // namespace bertie
