// Includes go downwards only: apps → models → nn → ops → autograd, within apps/ programs → run → console, and
// within data/ language → batches → tokenizer → files and tasks → batches. data/ uses only the part of
// autograd that knows no gradients; nn, models and apps may use data.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace bertie {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

const Names plain_autograd = {"autograd/array.h", "autograd/shape.h", "autograd/random.h",
                              "autograd/threads.h", "autograd/error.h"};

Names with(Names names, const Names& more) {
  names.insert(more.begin(), more.end());
  return names;
}

const Names data_rooms = {"data/files", "data/tokenizer", "data/batches", "data/language", "data/tasks"};
const Names app_rooms = {"apps", "apps/run", "apps/console"};
const Names libraries = with(data_rooms, {"models", "nn", "ops", "autograd"});

// What files of a folder may include: whole folders, or single headers.
const std::map<std::string, Names> allowed = {
    {"autograd", {"autograd"}},
    {"ops", {"ops", "autograd"}},
    {"data/files", with(plain_autograd, {"data/files"})},
    {"data/tokenizer", with(plain_autograd, {"data/tokenizer", "data/files"})},
    {"data/batches", with(plain_autograd, {"data/batches", "data/tokenizer", "data/files"})},
    {"data/language",
     with(plain_autograd, {"data/language", "data/batches", "data/tokenizer", "data/files"})},
    {"data/tasks", with(plain_autograd, {"data/tasks", "data/batches", "data/tokenizer", "data/files"})},
    {"nn", with(data_rooms, {"nn", "ops", "autograd"})},
    {"models", libraries},
    {"apps/console", with(libraries, {"apps/console"})},
    {"apps/run", with(libraries, {"apps/run", "apps/console"})},
    {"apps", with(libraries, app_rooms)},
    {"bench", with(libraries, {"bench", "tests"})},
    {"docs", libraries},
    {"tests", with(with(libraries, app_rooms), {"tests", "docs", "bench"})}};
const Names vague_names = {"utils", "util", "common", "core", "misc"};

// The room that a file lies in: a folder of the root, or one of those in data/ or apps/.
std::string room(const std::string& path) {
  size_t end = path.find('/');
  size_t next = end == std::string::npos ? end : path.find('/', end + 1);
  if (path.starts_with("data/") || (path.starts_with("apps/") && next != std::string::npos)) end = next;
  return path.substr(0, end);
}

bool is_source(const fs::path& path) { return path.extension() == ".h" || path.extension() == ".cpp"; }

// The project's own files that a source includes, as paths from the root. A library's header is <bertie/…>,
// or that in quotes; whatever else is quoted is taken for an own file, which the libraries' folders don't
// allow.
std::vector<std::string> own_includes(const std::string& text) {
  std::vector<std::string> paths;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::erase_if(line, [](char c) { return c == ' ' || c == '\t'; });
    if (!line.starts_with("#include") || line.size() < 10) continue;
    std::string path = line.substr(9, line.find_first_of("\">", 9) - 9);
    const std::string prefix = "bertie/";
    if (path.starts_with(prefix))
      paths.push_back(path.substr(prefix.size()));
    else if (libraries.contains(room(path)))
      paths.push_back(path + " without bertie/");
    else if (line[8] == '"' || allowed.contains(room(path)))
      paths.push_back(path);
  }
  return paths;
}

// What is wrong with a file, a line each.
std::vector<std::string> violations(const std::string& path, const std::string& text) {
  std::vector<std::string> found;
  for (const fs::path& part : fs::path(path))
    if (vague_names.contains(part.stem())) found.push_back(path + ": '" + part.string() + "' says nothing");
  if (!is_source(path)) return found;
  auto rule = allowed.find(room(path));
  if (rule == allowed.end()) return found;
  for (const std::string& include : own_includes(text))
    if (!rule->second.contains(include) &&
        (include.ends_with(" without bertie/") || !rule->second.contains(room(include))))
      found.push_back(path + " includes " + include);
  return found;
}

// Every file of the project, relative to its root, without those that tools made.
std::vector<std::string> project_files(const fs::path& root) {
  std::vector<std::string> files;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::end(entry); ++entry) {
    std::string name = entry->path().filename();
    bool hidden = name.starts_with('.') && name != ".ci";
    if (hidden || name.starts_with("build") || name == "__pycache__")
      entry.disable_recursion_pending();
    else if (entry->is_regular_file())
      files.push_back(fs::relative(entry->path(), root));
  }
  return files;
}

TEST(IncludeDirection, GoesDownwardsOnly) {
  const fs::path root = BERTIE_SOURCE_DIR;
  Names folders_seen;
  for (const std::string& path : project_files(root)) {
    std::ifstream file(root / path);
    std::stringstream text;
    text << file.rdbuf();
    for (const std::string& violation : violations(path, text.str())) ADD_FAILURE() << violation;
    if (is_source(path)) folders_seen.insert(room(path));
  }
  for (const auto& [folder, rule] : allowed)
    EXPECT_TRUE(folders_seen.contains(folder)) << "no source in " << folder;
}

TEST(IncludeDirection, NoFolderOfDataIsADrawer) {
  for (const std::string& path : project_files(BERTIE_SOURCE_DIR)) {
    if (path.starts_with("data/")) {
      EXPECT_TRUE(data_rooms.contains(room(path))) << path << " is in none of data's rooms";
    } else if (path.starts_with("apps/")) {
      EXPECT_TRUE(app_rooms.contains(room(path))) << path << " is in none of the programs' rooms";
    }
  }
}

TEST(IncludeDirection, UpwardIncludesAreNoticed) {
  using Lines = std::vector<std::string>;
  auto of = [](const std::string& path, const std::vector<std::string>& includes) {
    std::string text = "#include <cmath>\n";
    for (const std::string& include : includes) text += "#include " + include + "\n";
    return violations(path, text);
  };
  EXPECT_EQ(of("ops/loss.cpp", {"\"bertie/ops/loss.h\"", "<bertie/autograd/tensor.h>"}), Lines{});
  EXPECT_EQ(of("ops/loss.cpp", {"\"bertie/nn/layers.h\""}), Lines{"ops/loss.cpp includes nn/layers.h"});
  EXPECT_EQ(of("ops/loss.cpp", {"\"ops/loss.h\""}),
            Lines{"ops/loss.cpp includes ops/loss.h without bertie/"});
  EXPECT_EQ(of("models/bert.h", {"<nn/module.h>"}),
            Lines{"models/bert.h includes nn/module.h without bertie/"});
  EXPECT_EQ(violations("autograd/tensor.h", "  #  include <bertie/ops/matmul.h>\n"),
            Lines{"autograd/tensor.h includes ops/matmul.h"});
  EXPECT_EQ(of("data/batches/corpus.h", {"\"bertie/autograd/array.h\"", "\"bertie/autograd/tensor.h\""}),
            Lines{"data/batches/corpus.h includes autograd/tensor.h"});
  EXPECT_EQ(of("data/files/safetensors.h", {"\"bertie/data/tokenizer/utf8.h\""}),
            Lines{"data/files/safetensors.h includes data/tokenizer/utf8.h"});
  EXPECT_EQ(of("data/tokenizer/utf8.cpp",
               {"\"bertie/data/batches/corpus.h\"", "\"bertie/data/files/mapped_file.h\""}),
            Lines{"data/tokenizer/utf8.cpp includes data/batches/corpus.h"});
  EXPECT_EQ(of("apps/run/metrics.h", {"\"apps/console/progress.h\"", "\"apps/task.h\""}),
            Lines{"apps/run/metrics.h includes apps/task.h"});
  EXPECT_EQ(of("apps/console/program.h", {"\"apps/console/signals.h\"", "\"apps/run/metrics.h\""}),
            Lines{"apps/console/program.h includes apps/run/metrics.h"});
  EXPECT_EQ(of("data/batches/corpus.cpp", {"\"bertie/data/language/grammar.h\""}),
            Lines{"data/batches/corpus.cpp includes data/language/grammar.h"});
  EXPECT_EQ(of("data/tasks/label_set.h", {"\"bertie/data/language/grammar.h\""}),
            Lines{"data/tasks/label_set.h includes data/language/grammar.h"});
  EXPECT_EQ(of("data/language/grammar.h", {"\"bertie/data/tasks/label_set.h\""}),
            Lines{"data/language/grammar.h includes data/tasks/label_set.h"});
  EXPECT_EQ(of("ops/kernels/exp.kernel.cpp", {"\"bertie/data/batches/corpus.h\""}),
            Lines{"ops/kernels/exp.kernel.cpp includes data/batches/corpus.h"});
  EXPECT_EQ(of("models/bert.h", {"\"apps/console/program.h\"", "\"tests/message_of.h\""}).size(), 2u);
  EXPECT_EQ(of("nn/layers.h", {"\"module.h\""}), Lines{"nn/layers.h includes module.h"});
  EXPECT_EQ(violations("nn/utils/a.h", "").size(), 1u);
  EXPECT_EQ(violations("ops/common.cpp", "").size(), 1u);
}

}  // namespace
}  // namespace bertie
