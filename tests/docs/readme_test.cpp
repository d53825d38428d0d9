// The README and docs/ say what the code does: their C++ is quoted from files that are compiled here or
// elsewhere, and the files that they point to exist.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
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

// The README's table has the accuracies by frequency, of the model and the best possible that
// scripts/pretrain.sh prints, of which docs/language.md shows all. By frequency alone nothing but `all` is
// ever right.
TEST(Readme, TheTableIsThatOfTheShortRun) {
  std::string readme = text_of(root / "README.md"), page = text_of(root / "docs/language.md");
  size_t run = page.find("The short run, which is what `scripts/pretrain.sh` prints:");
  ASSERT_NE(run, std::string::npos);
  const std::string alone = "By word frequency alone: ";
  size_t footer = page.find(alone, run);
  ASSERT_NE(footer, std::string::npos);
  double frequency_of_all = std::strtod(page.c_str() + footer + alone.size(), nullptr);
  EXPECT_GT(frequency_of_all, 0);
  const std::pair<const char*, const char*> rows[] = {{"| all |", "\nall "},
                                                      {"| a verb far from its subject", "\nnumber far "},
                                                      {"| the first word of a question", "\nright far "},
                                                      {"| which court was meant", "\nsense far "}};
  for (const auto& [row, name] : rows) {
    size_t at = readme.find(row), there = page.find(name, run);
    ASSERT_NE(at, std::string::npos) << row;
    ASSERT_NE(there, std::string::npos) << name;
    std::string numbers = readme.substr(readme.find(" | ", at));
    double frequency = 0, model = 0, best = 0;
    ASSERT_EQ(std::sscanf(numbers.c_str(), " | %lf | %lf | %lf |", &frequency, &model, &best), 3) << numbers;
    std::istringstream line(page.substr(there + std::string(name).size()));
    double scored = 0, shown_model = 0, shown_best = 0;
    line >> scored >> shown_model >> shown_best;
    EXPECT_EQ(frequency, row == rows[0].first ? frequency_of_all : 0) << row;
    EXPECT_EQ(model, shown_model) << row;
    EXPECT_EQ(best, shown_best) << row;
  }
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

TEST(Readme, LinksLeadSomewhere) {
  int links = 0;
  for (const Page& page : pages())
    for (const std::string& link : spans(page.prose, "](", ')')) {
      EXPECT_TRUE(link.starts_with("http") || link.starts_with('#') ||
                  fs::exists(page.path.parent_path() / link))
          << page.path << " links to " << link;
      ++links;
    }
  EXPECT_GT(links, 20);
}

// Whether `word` stands in a text with nothing of a name before or behind it.
bool has_word(const std::string& text, const std::string& word) {
  auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at) {
    size_t end = at + word.size();
    if ((at == 0 || !is_name(text[at - 1])) && (end == text.size() || !is_name(text[end]))) return true;
  }
  return false;
}

// Whether CMake makes this program of build/release, one of apps/, of bench/ or of tests/ (a folder's or a
// proof's), or this is a folder of such.
bool is_program(const std::string& name) {
  if (fs::is_directory(root / name)) return true;
  fs::path path = name, folder = path.parent_path();
  std::string program = path.filename();
  if (folder == "")
    return fs::exists(root / "apps" / (program + ".cpp")) &&
           has_word(text_of(root / "CMakeLists.txt"), program);
  if (folder == "bench")
    return fs::exists(root / "bench" / (program + ".cpp")) &&
           has_word(text_of(root / "bench/CMakeLists.txt"), program);
  if (folder != "tests") return false;
  if (fs::exists(root / "tests/proofs" / (program + ".cpp"))) return true;
  if (!program.starts_with("test_")) return false;
  std::string tested = program.substr(5);
  for (const auto& entry : fs::recursive_directory_iterator(root / "tests")) {
    std::string place = fs::relative(entry.path(), root / "tests");
    std::replace(place.begin(), place.end(), '/', '_');
    if (entry.is_directory() && place == tested) return true;
  }
  return false;
}

// The paths in a text, as far as they begin with a folder of the project. <bertie/…> is one of the project.
std::vector<std::string> paths(const std::string& text) {
  auto in_path = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::strchr("_-./*", c) != nullptr;
  };
  std::vector<std::string> found;
  for (size_t at = 0, end = 0; at < text.size(); at = end + 1) {
    for (end = at; end < text.size() && in_path(text[end]); ++end) {
    }
    std::string path = text.substr(at, end - at);
    bool is_pattern = path.find('*') != std::string::npos ||
                      (end < text.size() && std::strchr("<{", text[end])) || text.substr(end, 3) == "…";
    while (path.ends_with('.')) path.pop_back();
    if (path.starts_with("bertie/")) path.erase(0, 7);
    size_t slash = path.find('/');
    if (slash == std::string::npos || slash == 0 || is_pattern || path.starts_with('.')) continue;
    if (path.starts_with("build/release/") || fs::is_directory(root / path.substr(0, slash)))
      found.push_back(path);
  }
  return found;
}

// Of the pages, and of the comments and messages of all other files. `bench/ops` is a program, by its source.
TEST(Readme, PathsThatAreNamedExist) {
  int named = 0;
  auto check = [&](const fs::path& file) {
    for (const std::string& path : paths(text_of(file))) {
      bool exists = fs::exists(root / path) || fs::exists(root / (path + ".cpp"));
      if (path.find("squareplus") != std::string::npos) continue;  // that docs/add_an_op.md has one make
      if (path.starts_with("build/"))
        exists = !path.starts_with("build/release/") || is_program(path.substr(14));
      EXPECT_TRUE(exists) << file << " names " << path;
      ++named;
    }
  };
  check(root / "README.md");
  for (const auto& folder : fs::directory_iterator(root)) {
    std::string name = folder.path().filename();
    if (!folder.is_directory() || name.starts_with('.') || name.starts_with("build")) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      std::string extension = entry.path().extension();
      bool invented = entry.path().string().find("/tests/project/") != std::string::npos ||
                      entry.path().filename() == "readme_test.cpp";  // their names needn't exist
      if (entry.is_regular_file() && !invented &&
          std::set<std::string>{".md", ".h", ".cpp", ".sh", ".py"}.contains(extension))
        check(entry.path());
    }
  }
  EXPECT_GT(named, 500);
}

// The first word of each command in the pages' blocks: a path, which the test above looks at, a program that
// stands in a folder of PATH here, or one of a system.
TEST(Readme, CommandsAreProgramsOfHere) {
  const std::set<std::string> of_the_system{"cmake", "ctest", "for", "do",   "done", "printf", "tail",
                                            "wc",    "cd",    "sed", "head", "awk",  "mpirun", "pkill"};
  int commands = 0;
  for (const auto& page : pages()) {
    std::istringstream lines(text_of(page.path));
    bool in_block = false, continued = false;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("```"))
        in_block = line == "```sh";
      else if (in_block && !continued) {
        std::istringstream words(line);
        std::string word;
        while (words >> word && word.find('=') != std::string::npos) {
        }
        if (word.find('/') == std::string::npos && !word.starts_with('#') && !word.empty()) {
          EXPECT_TRUE(of_the_system.contains(word) || is_program(word)) << page.path << ": " << line;
        }
        ++commands;
      }
      continued = line.ends_with('\\') || line.ends_with('|');
    }
  }
  EXPECT_GT(commands, 30);
}

// A program of build/release that a page's block of commands runs is one that scripts/pretrain.sh builds, or
// the page says before how to build it.
TEST(Readme, CommandsAreThereAfterTheFirstOne) {
  std::string built;
  for (const auto& [file, line] : {std::pair{"CMakeLists.txt", "foreach(program "},
                                   {"bench/CMakeLists.txt", "add_dependencies(programs "}}) {
    std::string text = text_of(root / file);
    size_t at = text.find(line);
    ASSERT_NE(at, std::string::npos) << file;
    built += text.substr(at, text.find(')', at) + 1 - at);
  }
  EXPECT_NE(text_of(root / "scripts/pretrain.sh").find("--target programs"), std::string::npos);
  int commands = 0;
  for (const auto& page : pages()) {
    std::istringstream lines(text_of(page.path));
    std::string said, folder = "build/release/";
    bool in_block = false;
    for (std::string line; std::getline(lines, line); said += line + "\n") {
      if (line.starts_with("```")) in_block = line == "```sh";
      for (size_t at = 0; in_block && (at = line.find(folder, at)) != std::string::npos;) {
        at += folder.size();
        std::string path = line.substr(at, line.find(' ', at) - at);
        std::string name = fs::path(path).filename(), target = path == "bench/ops" ? "bench_ops" : name;
        EXPECT_TRUE(has_word(built, name) || has_word(said + line.substr(0, at), target))
            << page.path << ": " << line;
        ++commands;
      }
    }
  }
  EXPECT_GT(commands, 20);
}

}  // namespace
}  // namespace bertie
