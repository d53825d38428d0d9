// Includes go downwards only: apps → models → nn → ops → autograd. data/ uses only the part of autograd that
// knows no gradients; nn, models and apps may use data.
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

// What files of a folder may include: whole folders, or single headers.
const std::map<std::string, Names> allowed = {
    {"autograd", {"autograd"}},
    {"ops", {"ops", "autograd"}},
    {"data",
     {"data", "autograd/array.h", "autograd/shape.h", "autograd/random.h", "autograd/threads.h",
      "autograd/error.h"}},
    {"nn", {"nn", "data", "ops", "autograd"}},
    {"models", {"models", "nn", "data", "ops", "autograd"}},
    {"apps", {"apps", "models", "nn", "data", "ops", "autograd"}},
    {"bench", {"bench", "tests", "apps", "models", "nn", "data", "ops", "autograd"}},
    {"tests", {"tests", "docs", "bench", "apps", "models", "nn", "data", "ops", "autograd"}}};
const Names vague_names = {"utils", "util", "common", "core", "misc"};

std::string first_folder(const std::string& path) { return path.substr(0, path.find('/')); }

bool is_source(const fs::path& path) { return path.extension() == ".h" || path.extension() == ".cpp"; }

// The project's own files that a source includes, in either form. Quoted paths are all taken for own ones.
std::vector<std::string> own_includes(const std::string& text) {
  std::vector<std::string> paths;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::erase_if(line, [](char c) { return c == ' ' || c == '\t'; });
    if (!line.starts_with("#include") || line.size() < 10) continue;
    std::string path = line.substr(9, line.find_first_of("\">", 9) - 9);
    if (line[8] == '"' || allowed.contains(first_folder(path))) paths.push_back(path);
  }
  return paths;
}

// What is wrong with a file, a line each.
std::vector<std::string> violations(const std::string& path, const std::string& text) {
  std::vector<std::string> found;
  for (const fs::path& part : fs::path(path))
    if (vague_names.contains(part.stem())) found.push_back(path + ": '" + part.string() + "' says nothing");
  if (!is_source(path)) return found;
  auto rule = allowed.find(first_folder(path));
  if (rule == allowed.end()) return found;
  for (const std::string& include : own_includes(text))
    if (!rule->second.contains(include) && !rule->second.contains(first_folder(include)))
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
    if (is_source(path)) folders_seen.insert(first_folder(path));
  }
  for (const auto& [folder, rule] : allowed)
    EXPECT_TRUE(folders_seen.contains(folder)) << "no source in " << folder;
}

TEST(IncludeDirection, UpwardIncludesAreNoticed) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(violations("ops/loss.cpp",
                       "#include <cmath>\n#include \"ops/loss.h\"\n#include \"autograd/tensor.h\"\n"),
            Lines{});
  EXPECT_EQ(violations("ops/loss.cpp", "#include \"nn/layers.h\"\n"),
            Lines{"ops/loss.cpp includes nn/layers.h"});
  EXPECT_EQ(violations("autograd/tensor.h", "  #  include <ops/matmul.h>\n"),
            Lines{"autograd/tensor.h includes ops/matmul.h"});
  EXPECT_EQ(violations("data/corpus.h", "#include \"autograd/array.h\"\n#include \"autograd/tensor.h\"\n"),
            Lines{"data/corpus.h includes autograd/tensor.h"});
  EXPECT_EQ(violations("ops/kernels/exp.kernel.cpp", "#include \"data/corpus.h\"\n"),
            Lines{"ops/kernels/exp.kernel.cpp includes data/corpus.h"});
  EXPECT_EQ(
      violations("models/bert.h", "#include \"apps/program.h\"\n#include \"tests/message_of.h\"\n").size(),
      2u);
  EXPECT_EQ(violations("nn/layers.h", "#include \"module.h\"\n"), Lines{"nn/layers.h includes module.h"});
  EXPECT_EQ(violations("nn/utils/a.h", "").size(), 1u);
  EXPECT_EQ(violations("ops/common.cpp", "").size(), 1u);
}

}  // namespace
}  // namespace bertie
