// The labels of a task and their ids, as config.json's id2label has them.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bertie/data/tasks/table_reader.h"
#include "bertie/data/tasks/tagged_reader.h"

namespace bertie {

class LabelSet {
 public:
  LabelSet() = default;  // of no label
  // names[i] has id i, as in the config.json of a directory. Throws where one is empty or there twice.
  explicit LabelSet(std::vector<std::string> names);
  // Those of the training data in the order of their bytes, so that transformers' scripts, which sort them,
  // too, give the same ids; where all of them are numbers, in the order of those. Throws where there is none,
  // or, of classes, only one.
  static LabelSet of(std::span<const TextExample> examples);
  static LabelSet of(std::span<const TaggedSentence> sentences);

  int32_t size() const { return static_cast<int32_t>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }
  const std::string& name(int32_t id) const;  // throws where there is no such id
  // Throws an Error that names the place, the label and those that there are.
  int32_t id(std::string_view label, const FilePlace& place) const;

  // Throws where the data has a label that this set, a directory's, has not, naming it; `directory` stands in
  // the message.
  void check_has(const LabelSet& of_data, std::string_view directory) const;

 private:
  std::vector<std::string> names_;
  std::map<std::string, int32_t, std::less<>> ids_;
};

}  // namespace bertie
