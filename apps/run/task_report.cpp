#include "apps/run/task_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/run/line_chart.h"

namespace bertie {
namespace {

const Record* last_with(const std::vector<Record>& records, const char* key) {
  auto found = std::find_if(records.rbegin(), records.rend(),
                            [&](const Record& record) { return record.contains(key); });
  return found == records.rend() ? nullptr : &found->at(key);
}

std::string confusion_section(const Record& confusion) {
  std::string html =
      "<h2>What was taken for what</h2>\n<section class=\"scrolls\"><table class=\"confusion\">\n";
  const Record& labels = confusion.at("labels");
  html +=
      fmt::format("<tr><th></th><th colspan=\"{}\">predicted</th></tr>\n<tr><th>true</th>", labels.size());
  for (const Record& label : labels)
    html += fmt::format("<th>{}</th>", html_escaped(label.get<std::string>()));
  html += "</tr>\n";
  for (size_t truth = 0; truth < labels.size(); ++truth) {
    const Record& counts = confusion.at("counts").at(truth);
    int64_t all = 0;
    for (const Record& count : counts) all += count.get<int64_t>();
    html += fmt::format("<tr><th>{}</th>", html_escaped(labels[truth].get<std::string>()));
    for (size_t predicted = 0; predicted < labels.size(); ++predicted) {
      auto count = counts.at(predicted).get<int64_t>();
      double share = all > 0 ? static_cast<double>(count) / static_cast<double>(all) : 0;
      html += fmt::format("<td class=\"{}\" style=\"--share:{:.1f}%\">{}</td>",
                          truth == predicted ? "right" : "wrong", 70 * share, count);
    }
    html += "</tr>\n";
  }
  return html + "</table></section>\n";
}

std::string hardest_section(const Record& hardest) {
  std::string html =
      "<h2>The hardest held-out examples</h2>\n<section class=\"scrolls\"><table class=\"hardest\">\n"
      "<tr><th>text</th><th>true</th><th>predicted</th><th>loss</th></tr>\n";
  for (const Record& example : hardest) {
    auto cell = [&](const char* key) { return html_escaped(example.at(key).get<std::string>()); };
    html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.2f}</td></tr>\n", cell("text"),
                        cell("truth"), cell("predicted"), example.at("loss").get<double>());
  }
  return html + "</table></section>\n";
}

}  // namespace

const char* const task_style = R"css(
.scrolls { overflow-x: auto; }
.confusion { width: auto; font-variant-numeric: tabular-nums; }
.confusion th, .confusion td { padding: .25rem .7rem; width: auto; text-align: right; }
.confusion .right { background: color-mix(in srgb, var(--best) var(--share), transparent); }
.confusion .wrong { background: color-mix(in srgb, var(--c1) var(--share), transparent); }
.hardest th, .hardest td { padding: .25rem 1rem .25rem 0; width: auto; overflow-wrap: break-word; }
.hardest td:first-child { min-width: 16rem; }
)css";

std::string task_sections(const std::vector<Record>& records) {
  std::string html;
  if (const Record* confusion = last_with(records, "confusion")) html += confusion_section(*confusion);
  const Record* hardest = last_with(records, "hardest");
  if (hardest && !hardest->empty()) html += hardest_section(*hardest);
  return html;
}

}  // namespace bertie
