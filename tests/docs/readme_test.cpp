// The README and docs/ say what the code does: their C++ is quoted from files that are compiled here or
// elsewhere, and the files that they point to exist.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

// The README's program, as a function.
#define main first_gradient
#include "docs/first_gradient.cpp"
#undef main

namespace bertie {
namespace {

namespace fs = std::filesystem;

const fs::path root = BERTIE_SOURCE_DIR;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Quote {
  std::string source;  // from the line "<!-- from FILE -->" right before the block; empty where there is none
  std::string code;
};

struct Page {
  fs::path path;
  std::string prose;          // without blocks of code
  std::vector<Quote> quotes;  // the blocks of C++
};

Page read_page(const fs::path& path) {
  Page page{path, "", {}};
  std::istringstream lines(text_of(path));
  for (std::string line, before; std::getline(lines, line); before = line) {
    if (!line.starts_with("```")) {
      page.prose += line + "\n";
      continue;
    }
    Quote quote;
    if (before.starts_with("<!-- from ") && before.ends_with(" -->"))
      quote.source = before.substr(10, before.size() - 14);
    bool is_cpp = line == "```cpp";
    while (std::getline(lines, line) && line != "```") quote.code += line + "\n";
    if (is_cpp) page.quotes.push_back(quote);
  }
  return page;
}

std::vector<Page> pages() {
  std::vector<Page> result{read_page(root / "README.md")};
  for (const auto& entry : fs::directory_iterator(root / "docs"))
    if (entry.path().extension() == ".md") result.push_back(read_page(entry.path()));
  return result;
}

TEST(Readme, QuotesAreInTheFilesTheyName) {
  int quotes = 0;
  for (const Page& page : pages()) {
    for (const Quote& quote : page.quotes) {
      ASSERT_NE(quote.source, "") << page.path << ": no source is named for\n" << quote.code;
      EXPECT_NE(text_of(root / quote.source).find(quote.code), std::string::npos)
          << page.path << ": not in " << quote.source << ":\n"
          << quote.code;
      ++quotes;
    }
  }
  EXPECT_GT(quotes, 3);
}

TEST(Readme, TheProgramPrintsWhatItSays) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(first_gradient(), 0);
  std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_NE(printed, "");
  EXPECT_NE(text_of(root / "README.md").find("\n```text\n" + printed + "```\n"), std::string::npos)
      << printed;
}

// What stands between `open` and `close` in a text.
std::vector<std::string> spans(const std::string& text, const std::string& open, char close) {
  std::vector<std::string> found;
  for (size_t at = 0, end = 0; (at = text.find(open, end)) != std::string::npos;) {
    at += open.size();
    end = std::min(text.find(close, at), text.size() - 1) + 1;
    found.push_back(text.substr(at, end - at - 1));
  }
  return found;
}

// Files in backticks, from the root (`bench/ops` is a program, by its source), and links, from the page.
TEST(Readme, FilesThatAreNamedExist) {
  int named = 0;
  for (const Page& page : pages()) {
    for (const std::string& span : spans(page.prose, "`", '`')) {
      size_t slash = span.find('/');
      bool is_path = slash != std::string::npos && span.find(' ') == std::string::npos &&
                     !span.starts_with("build/") && fs::is_directory(root / span.substr(0, slash));
      if (!is_path) continue;
      EXPECT_TRUE(fs::exists(root / span) || fs::exists(root / (span + ".cpp")))
          << page.path << " names " << span;
      ++named;
    }
    for (const std::string& link : spans(page.prose, "](", ')')) {
      EXPECT_TRUE(link.starts_with("http") || fs::exists(page.path.parent_path() / link))
          << page.path << " links to " << link;
      ++named;
    }
  }
  EXPECT_GT(named, 20);
}

}  // namespace
}  // namespace bertie
