// Curves over the steps of a run, as a figure of an HTML page: inline SVG, with its legend beside it.
#pragma once
#include <string>
#include <vector>

namespace bertie {

struct Point {
  double x, y;       // y isn't finite where nothing is known
  double low, high;  // what y is the mean of lies between them
};

struct Curve {
  enum class Look { line, dotted_points, level };  // level: a dashed line
  std::string name;                                // "training"
  Look look;
  std::vector<Point> points;
};

struct ChartOptions {
  std::string title, unit;  // "Loss", "nats"
  bool from_zero = false;   // the vertical axis begins at 0
  double scale = 1;         // what is shown is the value times this: 100 for a share in %
};

// Ticks of an axis from `low` to `high`: multiples of 1, 2 or 5 times a power of ten, at most `most` of them
// and at least two where low < high.
std::vector<double> axis_ticks(double low, double high, int most);

// For people: "0.0005", "2e-6", "1,500", "12.3k", "1.23M"; four digits at most.
std::string short_number(double value);

std::string html_escaped(const std::string& text);

// Many points become `most` or fewer, each the mean of its neighbors, with the range that they had.
std::vector<Point> thinned(const std::vector<Point>& points, size_t most);

// A <figure>; nothing where no curve has a point. Its vertical axis is logarithmic where a few values are
// far above the others.
std::string line_chart(const std::vector<Curve>& curves, const ChartOptions& options);

}  // namespace bertie
