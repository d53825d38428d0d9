// What report.html shows of a task: what was confused with what, and the hardest examples.
#pragma once
#include <string>
#include <vector>

#include "apps/run/metrics.h"

namespace bertie {

extern const char* const task_style;  // CSS

// Of the last record that has them: "confusion": {"labels": […], "counts": [[…], …]}, a row for each truth,
// and "hardest": [{"text", "truth", "predicted", "loss"}, …]. Nothing where there is none.
std::string task_sections(const std::vector<Record>& records);

}  // namespace bertie
