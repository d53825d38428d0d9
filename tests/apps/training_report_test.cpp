// report.html: well-formed, of itself alone, with the right numbers in it. How it looks was seen in Chromium.
#include "apps/run/training_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "apps/run/line_chart.h"

namespace bertie {
namespace {

int64_t count(const std::string& text, const std::string& part) {
  int64_t times = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++times;
  return times;
}
bool contains(const std::string& text, const std::string& part) { return count(text, part) > 0; }

// What is wrong with the tags of a page: one that isn't closed, or closes another one. Empty: nothing.
std::string wrong_tags(const std::string& html) {
  const std::set<std::string> empty_ones{"meta", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = 0; (at = html.find('<', at)) != std::string::npos;) {
    size_t end = html.find('>', at);
    if (end == std::string::npos) return "a tag without end";
    std::string tag = html.substr(at + 1, end - at - 1);
    if (tag.find('<') != std::string::npos) return "a tag within " + tag;
    if ((count(tag, "\"") + count(tag, "'")) % 2 != 0) return "an open quote in " + tag;
    std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    at = end + 1;
    if (name[0] == '/') {
      if (open.empty() || "/" + open.back() != name)
        return name + " closes " + (open.empty() ? "" : open.back());
      open.pop_back();
    } else if (!empty_ones.contains(name) && tag.back() != '/') {
      open.push_back(name);
      // What a script or a style holds is no HTML.
      if (name == "script" || name == "style") at = html.find("</" + name, at);
    }
  }
  return open.empty() ? "" : open.back() + " isn't closed";
}

TEST(TrainingReport, TheCheckOfTagsFindsWhatIsWrong) {
  EXPECT_EQ(wrong_tags("<!DOCTYPE html><p><b x='<'></b></p>"), "a tag within b x='<'");
  EXPECT_EQ(wrong_tags("<p><b></p></b>"), "/p closes b");
  EXPECT_EQ(wrong_tags("<p><line/>"), "p isn't closed");
  EXPECT_EQ(wrong_tags("<p x=\"></p>"), "an open quote in p x=\"");
  EXPECT_EQ(wrong_tags("<!DOCTYPE html><p x=\"1\"><line y=\"2\"/><script>a < b</script></p>"), "");
}

Record training(int64_t step, double loss) {
  return {{"kind", "training"},
          {"step", step},
          {"tokens", 2000 * step},
          {"seconds", 0.5 * static_cast<double>(step)},
          {"loss", loss},
          {"accuracy", 0.25},
          {"learning_rate", 1e-3},
          {"gradient_norm", 1.5},
          {"tokens_per_second", 4000.0}};
}
Record evaluation(int64_t step, double loss) {
  return {{"kind", "evaluation"},
          {"step", step},
          {"held_out", {{"loss", loss}, {"accuracy", 0.5}, {"scored", 5000}}},
          {"unigram", {{"loss", 6.5}, {"accuracy", 0.125}}}};
}

std::string report(const std::vector<Record>& records, const RunFacts& facts = {"A run", 4, {}}) {
  std::string html = training_report_html(records, facts);
  EXPECT_EQ(wrong_tags(html), "");
  // Nothing from elsewhere.
  for (const char* outside : {"http", "src=", "href", "url(", "@import"})
    EXPECT_FALSE(contains(html, outside));
  for (const char* number : {"nan", "inf\"", "inf,", "NaN"}) EXPECT_FALSE(contains(html, number)) << number;
  return html;
}

TEST(TrainingReport, HasACurveForEachNumber) {
  std::string html = report({evaluation(0, 8), training(1, 7.5), training(2, 6), evaluation(2, 5),
                             training(3, 4), training(4, 3), evaluation(4, 2.5)});
  EXPECT_TRUE(contains(html, "<p class=\"muted\">Finished: step 4 of 4</p>"));
  for (const char* title :
       {"Loss<small>, nats", "Accuracy<small>, %", "Learning rate", "Gradient norm", "Tokens per second"})
    EXPECT_TRUE(contains(html, std::string("<h3>") + title)) << title;
  EXPECT_EQ(count(html, "<figure "), 5);
  // Training, held-out and unigram of loss and accuracy; the others are the training's alone.
  EXPECT_EQ(count(html, "<polyline"), 3 + 3 + 3);
  EXPECT_EQ(count(html, "polyline class=\"c2 level\""), 2);
  EXPECT_TRUE(contains(
      html,
      R"('[[[1,2,3,4],["7.5","6","4","3"]],[[0,2,4],["8","5","2.5"]],[[0,2,4],["6.5","6.5","6.5"]]]')"));
  EXPECT_TRUE(contains(html, R"([[0,2,4],["50","50","50"]])"));  // a share is shown in %
  // The tiles.
  EXPECT_TRUE(contains(html, "<b>2.5000</b><small>perplexity 12.18, unigram 6.5000</small>"));
  EXPECT_TRUE(contains(html, "<b>50.0 %</b>"));
  EXPECT_TRUE(contains(html, "<b>8,000</b>"));
  EXPECT_TRUE(contains(html, "<b>2 s</b><small>4,000 tokens/s</small>"));
}

TEST(TrainingReport, LossesOfTwoPartsComeFirstAndAreNamed) {
  Record record = training(1, 7);
  record["mlm_loss"] = 6.0;
  record["nsp_loss"] = 1.0;
  record["nsp_accuracy"] = 0.5;
  std::string html = report({record});
  size_t at = 0;
  for (const char* title :
       {"Loss<", "Loss, MLM<", "Loss, NSP<", "Accuracy<", "Accuracy, NSP<", "Learning rate<"}) {
    size_t found = html.find(std::string("<h3>") + title);
    EXPECT_GT(found, at) << title;
    EXPECT_NE(found, std::string::npos) << title;
    at = found;
  }
}

TEST(TrainingReport, OfNothingOfOnePointAndWithoutEvaluation) {
  std::string nothing = report({});
  EXPECT_TRUE(contains(nothing, "Nothing is trained or evaluated yet."));
  EXPECT_TRUE(contains(nothing, "Step 0 of 4"));
  EXPECT_FALSE(contains(nothing, "<figure "));
  std::string first = report({evaluation(0, 8)});
  EXPECT_EQ(count(first, "<figure "), 2);
  EXPECT_EQ(count(first, "<polyline"), 0);
  EXPECT_GT(count(first, "<circle"), 0);
  std::string one = report({training(1, 5)});
  EXPECT_EQ(count(one, "<figure "), 5);
  EXPECT_EQ(count(one, "<circle"), 5);
  std::string alone = report({training(1, 5), training(2, 4)});
  EXPECT_EQ(count(alone, "<polyline"), 5);
  EXPECT_FALSE(contains(alone, "held-out <b>"));
}

TEST(TrainingReport, WhatIsNotANumberIsAGap) {
  std::vector<Record> records;
  for (double loss : {5.0, 4.0, static_cast<double>(NAN), 3.0, 2.0, static_cast<double>(INFINITY)})
    records.push_back(training(static_cast<int64_t>(records.size()) + 1, loss));
  records[1]["gradient_norm"] = nullptr;
  records[4].erase("learning_rate");
  std::string html = report(records);
  EXPECT_TRUE(contains(html, R"([[1,2,4,5],["5","4","3","2"]])"));
  // Loss is known of steps 1, 2 and 4, 5, the rate of 1 to 4 and 6, the norm of 1 and 3 to 6; a lone one is a
  // circle.
  EXPECT_EQ(count(html, "<polyline"), 2 + 1 + 1 + 1 + 1);
  EXPECT_EQ(count(html, "<circle"), 0 + 0 + 1 + 1 + 0);
  std::vector<Record> none{training(1, NAN)};
  EXPECT_EQ(count(report(none), "<figure "), 4);
}

TEST(TrainingReport, TextIsEscaped) {
  Record record = training(1, 5);
  record["<i>\"'&_loss"] = 3.0;
  std::string html =
      report({record}, {"<script>alert('&')</script>", 2, {{"<b>", {{"--corpus", "\"a\" <img> & 'b'"}}}}});
  EXPECT_EQ(count(html, "<script>"), 1);
  EXPECT_TRUE(contains(html, "<h1>&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</h1>"));
  EXPECT_TRUE(
      contains(html, "<tr><th>--corpus</th><td>&quot;a&quot; &lt;img&gt; &amp; &#39;b&#39;</td></tr>"));
  EXPECT_FALSE(contains(html, "<img"));
  EXPECT_FALSE(contains(html, "<i>\""));
}

TEST(TrainingReport, TheBestPossibleScoresAreBars) {
  auto scores = [](double accuracy, double loss) { return Record{{"accuracy", accuracy}, {"loss", loss}}; };
  Record record = evaluation(4, 2);
  record["language"] = {
      {"all",
       {{"positions", 100},
        {"model", scores(0.6, 2)},
        {"best", scores(0.72, 0.5)},
        {"two_neighbors", scores(0.4, 3)},
        {"left", scores(0.3, 4)}}},
      {"number_near", {{"positions", 10}, {"model", scores(0.9, 0.25)}, {"best", scores(0.95, 0.125)}}}};
  std::string html = report({record});
  EXPECT_EQ(count(html, "<div class=\"bar\">"), 4);
  EXPECT_TRUE(contains(html, "<span>number near</span>"));
  std::string mark = "</span><span class=\"";
  EXPECT_TRUE(contains(html, "<span class=\"model\" style=\"width:60.00%\">" + mark +
                                 "neighbors\" style=\"left:40.00%\">" + mark +
                                 "left\" style=\"left:30.00%\">" + mark + "best\" style=\"left:72.00%\">"));
  // The longest of the losses is 4.
  EXPECT_TRUE(contains(html, "<span class=\"model\" style=\"width:50.00%\">" + mark +
                                 "neighbors\" style=\"left:75.00%\">" + mark +
                                 "left\" style=\"left:100.00%\">" + mark + "best\" style=\"left:12.50%\">"));
  EXPECT_TRUE(contains(html, "<b>90.0</b> <small>best 95.0</small>"));
  EXPECT_TRUE(contains(html, "<b>0.250</b> <small>best 0.125</small>"));
  EXPECT_FALSE(contains(report({evaluation(4, 2)}), "best possible"));
}

TEST(TrainingReport, StaysSmall) {
  std::vector<Record> records;
  for (int64_t step = 1; step <= 2000; ++step) records.push_back(training(step, 5 + 0.1 * std::sin(step)));
  EXPECT_LT(report(records, {"A run", 2000, {}}).size(), 300'000u);
}

TEST(LineChart, Ticks) {
  using Ticks = std::vector<double>;
  EXPECT_EQ(axis_ticks(0, 1000, 5), (Ticks{0, 500, 1000}));
  EXPECT_EQ(axis_ticks(0, 900, 5), (Ticks{0, 200, 400, 600, 800}));
  EXPECT_EQ(axis_ticks(1.3, 6.2, 5), (Ticks{2, 3, 4, 5, 6}));
  EXPECT_EQ(axis_ticks(-1, 1, 5), (Ticks{-1, -0.5, 0, 0.5, 1}));
  EXPECT_EQ(axis_ticks(3, 3, 5), Ticks{3});
  for (double high = 1e-8; high < 1e12; high *= 1.37) {
    size_t ticks = axis_ticks(0, high, 5).size();
    EXPECT_LE(ticks, 5u) << high;
    EXPECT_GE(ticks, 2u) << high;
  }
}

TEST(LineChart, NumbersForPeople) {
  const std::pair<double, const char*> expected[] = {
      {0, "0"},           {0.5, "0.5"},        {0.0005, "0.0005"}, {2e-6, "2e-6"},    {2.5e-12, "2.5e-12"},
      {1.23456, "1.235"}, {999, "999"},        {1500, "1,500"},    {9999.4, "9,999"}, {12345, "12.35k"},
      {500000, "500k"},   {1234567, "1.235M"}, {-1500, "-1,500"},  {-0.25, "-0.25"},  {3e9, "3G"}};
  for (auto [value, text] : expected) EXPECT_EQ(short_number(value), text);
}

TEST(LineChart, ThinnedKeepsMeansRangesAndTheEnd) {
  std::vector<Point> points;
  for (int i = 1; i <= 10; ++i) points.push_back({1.0 * i, 1.0 * i, 1.0 * i, 1.0 * i});
  points[1].y = points[1].low = points[1].high = NAN;
  EXPECT_EQ(thinned(points, 10).size(), 10u);
  std::vector<Point> few = thinned(points, 4);
  ASSERT_EQ(few.size(), 4u);
  EXPECT_EQ(few[0].x, 3);
  EXPECT_EQ(few[0].y, 2);  // of 1 and 3
  EXPECT_EQ(few[0].low, 1);
  EXPECT_EQ(few[0].high, 3);
  EXPECT_EQ(few[3].x, 10);
  EXPECT_EQ(few[3].y, 10);
}

// Every point lies within the plot, and a higher value higher up.
TEST(LineChart, PointsLieInThePlot) {
  Curve curve{"a", Curve::Look::dotted_points, {{0, 1, 1, 1}, {50, 3, 3, 3}, {100, 2, 2, 2}}};
  std::string svg = line_chart({curve}, {"A", ""});
  EXPECT_TRUE(contains(svg, "cx=\"46.0\" cy=\"191.4\""));  // 5 % of room below and above
  EXPECT_TRUE(contains(svg, "cx=\"219.0\" cy=\"18.6\""));
  EXPECT_TRUE(contains(svg, "cx=\"392.0\" cy=\"105.0\""));
  EXPECT_EQ(line_chart({{"a", Curve::Look::line, {}}}, {"A", ""}), "");
}

TEST(LineChart, IsLogarithmicWhereAFewValuesAreFarAbove) {
  Curve curve{"a", Curve::Look::line, {}};
  for (double y : {1.0, 1.2, 1.1, 1.3, 1000.0})
    curve.points.push_back({1.0 + static_cast<double>(curve.points.size()), y, y, y});
  std::string svg = line_chart({curve}, {"A", ""});
  EXPECT_TRUE(contains(svg, ", logarithmic"));
  for (const char* tick : {">1<", ">10<", ">100<", ">1,000<"}) EXPECT_TRUE(contains(svg, tick)) << tick;
  curve.points.back().y = curve.points.back().low = curve.points.back().high = 10;
  EXPECT_FALSE(contains(line_chart({curve}, {"A", ""}), ", logarithmic"));
}

}  // namespace
}  // namespace bertie
