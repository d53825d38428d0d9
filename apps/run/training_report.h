// report.html: one page without anything from elsewhere, on which to look at a training run.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "apps/run/metrics.h"

namespace bertie {

struct FactTable {
  std::string title;  // "Machine"
  std::vector<std::pair<std::string, std::string>> rows;
};

struct RunFacts {
  std::string title;  // "BERT, masked language modeling"
  int64_t planned_steps = 0;
  std::vector<FactTable> tables;
};

// The page. Curves are found by their names: each number of the training records is one, with those of the
// same name in the evaluations' "held_out" and "unigram" beside it. An evaluation with the best possible
// scores ("language") is shown as bars. Any text may be given; it is escaped.
std::string training_report_html(const std::vector<Record>& records, const RunFacts& facts);

}  // namespace bertie
