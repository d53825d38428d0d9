#include "apps/run/training_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/run/line_chart.h"
#include "apps/run/task_report.h"
#include "bertie/autograd/version.h"

namespace bertie {
namespace {

constexpr const char* style = R"css(
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1c2430; --muted: #5b6675; --line: #d9dee5; --track: #e9edf2;
  --c0: #1d64d0; --c1: #c2560c; --c2: #6b7280; --best: #0f8a4f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --text: #e4e8ee; --muted: #98a3b3; --line: #323b48; --track: #2a323d;
    --c0: #6ea8ff; --c1: #ff9a52; --c2: #9aa4b2; --best: #4fd18b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 80rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .7rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .35rem 0; max-width: 60rem; }
small, .muted, output, footer { color: var(--muted); font-size: .85rem; font-weight: normal; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21.5rem), 1fr)); }
.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 31rem), 1fr)); }
.facts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.tiles { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); margin-top: 1rem; gap: .7rem; }
figure, section, .tile {
  margin: 0; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  min-width: 0;
}
.tile b { display: block; font-size: 1.35rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
figcaption { display: flex; justify-content: space-between; align-items: baseline; gap: .7rem; }
output { white-space: nowrap; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .85rem; min-height: 1.3rem; }
.legend b { font-variant-numeric: tabular-nums; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: .2em; margin-right: .35em; }
i.c0 { background: var(--c0); } i.c1 { background: var(--c1); } i.c2 { background: var(--c2); }
figure { display: flex; flex-direction: column; }
svg { display: block; width: 100%; height: auto; margin-top: auto; touch-action: pan-y; }
svg .grid, svg .axis { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--muted); }
svg .tick { fill: var(--muted); font-size: 11.5px; }
polyline { fill: none; stroke-width: 1.7; stroke-linejoin: round; }
polyline.level { stroke-dasharray: 6 4; }
polyline.c0 { stroke: var(--c0); } polyline.c1 { stroke: var(--c1); } polyline.c2 { stroke: var(--c2); }
polygon { opacity: .18; }
polygon.c0, circle.c0 { fill: var(--c0); } polygon.c1, circle.c1 { fill: var(--c1); }
polygon.c2, circle.c2 { fill: var(--c2); }
.cursor { stroke: var(--text); stroke-width: 1; opacity: .5; visibility: hidden; }
.bars { display: grid; grid-template-columns: auto 1fr auto; gap: .3rem .8rem; align-items: center; margin-top: .6rem; }
@media (max-width: 34rem) {  /* the bar below its name and values */
  .bars { grid-template-columns: 1fr auto; grid-auto-flow: row dense; gap: .1rem .8rem; }
  .bar { grid-column: 1 / -1; margin-bottom: .5rem; }
}
.bars .value { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { position: relative; height: 1.05rem; background: var(--track); border-radius: .2rem; }
.bar span, .key { position: absolute; top: 0; bottom: 0; }
.bar span + span { box-shadow: 0 0 0 1px var(--card); }
.bar .model { left: 0; background: var(--c0); border-radius: .2rem; }
.bar .best, .key.best { width: 3px; margin-left: -1.5px; background: var(--best); top: -3px; bottom: -3px; }
.bar .neighbors, .key.neighbors { width: 0; border-left: 2px dotted var(--text); }
.bar .left, .key.left { width: 0; border-left: 2px solid var(--c1); }
.legend .key { position: static; display: inline-block; height: .9em; margin: 0 .45em 0 .2em; vertical-align: -.1em; }
table { border-collapse: collapse; width: 100%; margin-top: .3rem; font-size: .9rem; }
th, td { padding: .22rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
th { font-weight: normal; color: var(--muted); padding-right: 1rem; width: 45%; overflow-wrap: anywhere; }
td { overflow-wrap: anywhere; }
tr:first-child th, tr:first-child td { border-top: 0; }
footer { margin-top: 2rem; }
)css";

// Shows in the legend the values at the step that is pointed at. The plot's ends are those of line_chart.cpp.
constexpr const char* script = R"js(
for (const figure of document.querySelectorAll("figure[data-curves]")) {
  const curves = JSON.parse(figure.dataset.curves), steps = Number(figure.dataset.steps);
  const svg = figure.querySelector("svg"), cursor = figure.querySelector(".cursor");
  const values = figure.querySelectorAll(".legend b"), output = figure.querySelector("output");
  const before = [output.textContent, ...Array.from(values, v => v.textContent)];
  const nearest = (xs, x) => xs.reduce((best, v, i) => Math.abs(v - x) < Math.abs(xs[best] - x) ? i : best, 0);
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const along = Math.min(1, Math.max(0, ((event.clientX - box.left) / box.width * 400 - 46) / (392 - 46)));
    const most = curves.reduce((a, b) => b[0].length > a[0].length ? b : a)[0];
    const step = most[nearest(most, along * steps)];
    cursor.setAttribute("transform", `translate(${46 + (steps ? step / steps : 0.5) * (392 - 46)} 0)`);
    cursor.style.visibility = "visible";
    output.textContent = "step " + step.toLocaleString("en-US");
    curves.forEach(([xs, ys], i) => values[i].textContent = ys[nearest(xs, step)]);
  });
  svg.addEventListener("pointerleave", () => {
    cursor.style.visibility = "hidden";
    output.textContent = before[0];
    values.forEach((v, i) => v.textContent = before[i + 1]);
  });
}
)js";

// The number at the end of a path of keys; NaN where there is none.
double number_at(const Record& record, std::initializer_list<std::string> path) {
  const Record* value = &record;
  for (const std::string& key : path) {
    if (!value->is_object() || !value->contains(key)) return NAN;
    value = &value->at(key);
  }
  return value->is_number() ? value->get<double>() : NAN;
}

bool is_kind(const Record& record, const char* kind) { return record.value("kind", "") == kind; }

// The last finite value, or NaN.
double last_number(const std::vector<Record>& records, std::initializer_list<std::string> path) {
  for (auto record = records.rbegin(); record != records.rend(); ++record)
    if (double value = number_at(*record, path); std::isfinite(value)) return value;
  return NAN;
}

std::string with_commas(int64_t value) {
  std::string text = std::to_string(value);
  for (auto at = static_cast<int64_t>(text.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<size_t>(at), ",");
  return text;
}

std::string in_words(double seconds) {
  int64_t total = std::llround(seconds);
  if (total >= 86400) return fmt::format("{} d {} h", total / 86400, total / 3600 % 24);
  if (total >= 3600) return fmt::format("{} h {} min", total / 3600, total / 60 % 60);
  return total >= 60 ? fmt::format("{} min {} s", total / 60, total % 60) : fmt::format("{:.3g} s", seconds);
}

// "nsp_loss": "Loss, nsp"; "gradient_norm": "Gradient norm".
std::string title_of(const std::string& name) {
  std::string title = name;
  for (const char* last : {"_loss", "_accuracy"})
    if (name.ends_with(last)) {
      std::string part = name.substr(0, name.size() - std::string(last).size());
      std::transform(part.begin(), part.end(), part.begin(), ::toupper);
      title = std::string(last + 1) + ", " + part;
    }
  std::replace(title.begin(), title.end(), '_', ' ');
  if (title == "share of sgemm") title = "share of sgemm’s rate";
  title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  return title;
}

bool is_of(const std::string& name, const std::string& quantity) {
  return name == quantity || name.ends_with("_" + quantity);
}

ChartOptions options_of(const std::string& name) {
  ChartOptions options{title_of(name), "", true, 1};
  if (is_of(name, "loss")) return {options.title, "nats", false, 1};
  if (is_of(name, "accuracy") || name == "share_of_sgemm") return {options.title, "%", true, 100};
  return options;
}

// The numbers of the training records, else of the evaluations: losses first, then accuracies.
std::vector<std::string> curve_names(const std::vector<Record>& records) {
  std::vector<std::string> names;
  auto add = [&](const Record& object) {
    for (const auto& [name, value] : object.items())
      if ((value.is_number() || value.is_null()) && name != "step" && name != "tokens" && name != "seconds" &&
          std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
  };
  for (const Record& record : records)
    if (is_kind(record, "training")) add(record);
  if (names.empty()) names = {"loss", "accuracy"};
  auto place = [](const std::string& name) {
    return is_of(name, "loss") ? 0 : is_of(name, "accuracy") ? 1 : 2;
  };
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  return names;
}

// What a task is scored by.
std::vector<std::string> score_names(const std::vector<Record>& records) {
  std::vector<std::string> names;
  for (const Record& record : records)
    if (names.empty() && record.contains("scores"))
      for (const auto& [name, value] : record.at("scores").items()) names.push_back(name);
  return names;
}

Curve curve(const std::vector<Record>& records, const char* name, Curve::Look look, const char* kind,
            std::initializer_list<std::string> path) {
  Curve result{name, look, {}};
  for (const Record& record : records) {
    if (!is_kind(record, kind)) continue;
    double x = number_at(record, {"step"}), y = number_at(record, path);
    if (std::isfinite(x)) result.points.push_back({x, y, y, y});
  }
  result.points = thinned(result.points, 350);
  return result;
}

std::string charts(const std::vector<Record>& records) {
  std::string html;
  for (const std::string& name : curve_names(records))
    html +=
        line_chart({curve(records, "training", Curve::Look::line, "training", {name}),
                    curve(records, "held-out", Curve::Look::dotted_points, "evaluation", {"held_out", name}),
                    curve(records, "unigram", Curve::Look::level, "evaluation", {"unigram", name})},
                   options_of(name));
  for (const std::string& name : score_names(records))
    html +=
        line_chart({curve(records, "held-out", Curve::Look::dotted_points, "evaluation", {"scores", name})},
                   options_of(name));
  if (html.empty()) return "<p class=\"muted\">Nothing is trained or evaluated yet.</p>\n";
  return "<div class=\"grid\">\n" + html + "</div>\n";
}

std::string tile(const std::string& name, const std::string& value, const std::string& note = "") {
  return fmt::format("<div class=\"tile\"><small>{}</small><b>{}</b><small>{}</small></div>\n", name, value,
                     note);
}

std::string tiles(const std::vector<Record>& records) {
  std::string html;
  double held_out = last_number(records, {"held_out", "loss"}),
         unigram = last_number(records, {"unigram", "loss"});
  if (std::isfinite(held_out))
    html += tile("Held-out loss", fmt::format("{:.4f}", held_out),
                 score_names(records).empty()  // of a text, not of a task's labels
                     ? fmt::format("perplexity {}", short_number(std::exp(held_out))) +
                           (std::isfinite(unigram) ? fmt::format(", unigram {:.4f}", unigram) : "")
                     : "");
  double accuracy = last_number(records, {"held_out", "accuracy"});
  if (std::isfinite(accuracy)) html += tile("Held-out accuracy", fmt::format("{:.1f} %", 100 * accuracy));
  for (const std::string& name : score_names(records))
    if (double score = last_number(records, {"scores", name}); std::isfinite(score))
      html += tile(title_of(name), fmt::format("{:.4f}", score));
  double loss = last_number(records, {"loss"});
  if (std::isfinite(loss)) html += tile("Training loss", fmt::format("{:.4f}", loss));
  double tokens = last_number(records, {"tokens"}), seconds = last_number(records, {"seconds"});
  if (std::isfinite(tokens)) html += tile("Tokens", short_number(tokens), with_commas(std::llround(tokens)));
  if (std::isfinite(seconds) && seconds > 0)
    html += tile("Training time", in_words(seconds),
                 fmt::format("{} tokens/s", with_commas(std::llround(tokens / seconds))));
  return html.empty() ? "" : "<div class=\"grid tiles\">\n" + html + "</div>\n";
}

// One of the two tables of bars: accuracy in % or loss in nats.
std::string bars(const Record& language, const std::string& quantity) {
  bool accuracy = quantity == "accuracy";
  auto value_of = [&](const Record& row, const char* column) {
    return number_at(row, {column, quantity}) * (accuracy ? 100 : 1);
  };
  constexpr const char* columns[] = {"model", "two_neighbors", "left", "best"};  // the last one on top
  constexpr const char* looks[] = {"model", "neighbors", "left", "best"};
  double most = accuracy ? 100 : 0;
  for (const auto& [name, row] : language.items())
    for (const char* column : columns)
      if (double value = value_of(row, column); std::isfinite(value)) most = std::max(most, value);
  std::string html;
  for (const auto& [name, row] : language.items()) {
    double model = value_of(row, "model"), best = value_of(row, "best");
    if (!std::isfinite(model) || !std::isfinite(best)) continue;
    std::string label = name, marks;
    std::replace(label.begin(), label.end(), '_', ' ');
    for (int c = 0; c < 4; ++c) {
      double share = 100 * std::clamp(value_of(row, columns[c]) / most, 0.0, 1.0);
      if (std::isfinite(share))
        marks += fmt::format("<span class=\"{}\" style=\"{}:{:.2f}%\"></span>", looks[c],
                             c == 0 ? "width" : "left", share);
    }
    html += fmt::format(
        "<span>{}</span><div class=\"bar\">{}</div><span class=\"value\"><b>{:.{}f}</b> <small>best "
        "{:.{}f}</small>"
        "</span>\n",
        html_escaped(label), marks, model, accuracy ? 1 : 3, best, accuracy ? 1 : 3);
  }
  return fmt::format("<section><h3>{}<small>{}</small></h3>\n<div class=\"bars\">\n{}</div></section>\n",
                     accuracy ? "Accuracy" : "Loss", accuracy ? ", %" : ", nats: shorter is better", html);
}

std::string language_section(const std::vector<Record>& records) {
  auto found = std::find_if(records.rbegin(), records.rend(), [](const Record& record) {
    return record.contains("language") && record.at("language").is_object();
  });
  if (found == records.rend()) return "";
  const Record& language = found->at("language");
  return "<h2>How near to the best possible</h2>\n"
         "<p class=\"muted\">The text is of a language whose best possible predictions are known: no model "
         "can be "
         "above the accuracy or below the loss that is marked as best, but by luck.</p>\n"
         "<div class=\"legend\">\n"
         "<span><i class=\"c0\"></i>model</span>\n"
         "<span><span class=\"key best\"></span>best possible</span>\n"
         "<span><span class=\"key neighbors\"></span>best that sees two tokens on each side</span>\n"
         "<span><span class=\"key left\"></span>best that sees nothing on the right</span>\n</div>\n"
         "<div class=\"grid wide\" style=\"margin-top:.6rem\">\n" +
         bars(language, "accuracy") + bars(language, "loss") + "</div>\n";
}

std::string fact_tables(const std::vector<FactTable>& tables) {
  std::string html;
  for (const FactTable& table : tables) {
    html += fmt::format("<section><h3>{}</h3>\n<table>\n", html_escaped(table.title));
    for (const auto& [name, value] : table.rows)
      html += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", html_escaped(name), html_escaped(value));
    html += "</table></section>\n";
  }
  return html.empty() ? "" : "<h2>The run</h2>\n<div class=\"grid facts\">\n" + html + "</div>\n";
}

}  // namespace

std::string training_report_html(const std::vector<Record>& records, const RunFacts& facts) {
  double step = last_number(records, {"step"});
  int64_t done = std::isfinite(step) ? std::llround(step) : 0;
  std::string title = html_escaped(facts.title);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}{}</style>\n</head>\n<body>\n<h1>{}</h1>\n"
      "<p class=\"muted\">{} {} of {}</p>\n{}<h2>Curves</h2>\n{}{}{}{}"
      "<footer>Made by bertie {} from metrics.jsonl. What is trained is shown as means over the steps "
      "between "
      "two records, with their range where there are many; point at a curve to read it.</footer>\n"
      "<script>{}</script>\n</body>\n</html>\n",
      title, style, task_style, title, done < facts.planned_steps ? "Step" : "Finished: step",
      with_commas(done), with_commas(facts.planned_steps), tiles(records), charts(records),
      task_sections(records), language_section(records), fact_tables(facts.tables), version(), script);
}

}  // namespace bertie
