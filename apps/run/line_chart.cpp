#include "apps/run/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace bertie {
namespace {

// In units of the viewBox, which are pixels where the figure is as wide.
constexpr double width = 400, height = 234, left = 46, right = 392, top = 10, bottom = 200;

struct Range {
  double low = INFINITY, high = -INFINITY;
  bool empty() const { return !(low <= high); }
  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

bool is_shown(const Point& point) { return std::isfinite(point.y); }

// The ticks 1, 2, 5, 10, … or, of more than a few powers of ten, those alone.
std::vector<double> logarithmic_ticks(double low, double high) {
  std::vector<double> ticks;
  bool powers_only = std::log10(high / low) > 2.5;
  for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10)
    for (double factor : {1, 2, 5})
      if (power * factor >= low && power * factor <= high && (factor == 1 || !powers_only))
        ticks.push_back(power * factor);
  return ticks;
}

struct Axis {
  Range range;
  double from, to;  // where the range's ends are drawn
  bool logarithmic = false;
  std::vector<double> ticks;

  double place(double value) const {
    auto f = [this](double v) { return logarithmic ? std::log10(v) : v; };
    double low = f(range.low), high = f(range.high);
    return from + (to - from) * (high > low ? (f(value) - low) / (high - low) : 0.5);
  }
};

Axis horizontal_axis(const std::vector<Curve>& curves) {
  Axis axis{{}, left, right, false, {}};
  for (const Curve& curve : curves)
    for (const Point& point : curve.points)
      if (is_shown(point)) axis.range.include(point.x);
  axis.range.include(0);
  axis.ticks = axis_ticks(axis.range.low, axis.range.high, 5);
  return axis;
}

Axis vertical_axis(const std::vector<Curve>& curves, const ChartOptions& options) {
  Axis axis{{}, bottom, top, false, {}};
  Range& range = axis.range;
  std::vector<double> values;
  for (const Curve& curve : curves)
    for (const Point& point : curve.points) {
      if (!is_shown(point)) continue;
      values.push_back(point.y * options.scale);
      for (double value : {point.y, point.low, point.high}) range.include(value * options.scale);
    }
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  double median = values[values.size() / 2];
  axis.logarithmic = range.low > 0 && range.high > 20 * median;
  if (axis.logarithmic) {
    range = {range.low / 1.1, range.high * 1.1};
    axis.ticks = logarithmic_ticks(range.low, range.high);
    return axis;
  }
  if (options.from_zero) range.include(0);
  double room =
      range.high > range.low ? 0.05 * (range.high - range.low) : std::max(1e-12, 0.1 * std::abs(range.high));
  if (!options.from_zero || range.low < 0) range.low -= room;
  range.high += room;
  axis.ticks = axis_ticks(range.low, range.high, 5);
  return axis;
}

std::string grid(const Axis& x, const Axis& y) {
  std::string svg;
  for (double tick : y.ticks)
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{:g}\" x2=\"{:g}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" text-anchor=\"end\" x=\"{:g}\" y=\"{:.1f}\">{}</text>\n",
        left, right, y.place(tick), y.place(tick), left - 6, y.place(tick) + 4, short_number(tick));
  for (double tick : x.ticks) {
    double place = x.place(tick);
    const char* anchor = place > right - 12 ? "end" : "middle";
    svg += fmt::format("<text class=\"tick\" text-anchor=\"{}\" x=\"{:.1f}\" y=\"{:g}\">{}</text>\n", anchor,
                       place, bottom + 16, short_number(tick));
  }
  return svg + fmt::format("<line class=\"axis\" x1=\"{:g}\" x2=\"{:g}\" y1=\"{:g}\" y2=\"{:g}\"/>\n", left,
                           right, bottom, bottom);
}

// Calls `draw` for each stretch of points that are known.
void for_each_stretch(const std::vector<Point>& points,
                      const std::function<void(std::vector<Point>::const_iterator begin,
                                               std::vector<Point>::const_iterator end)>& draw) {
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if(begin, points.end(), is_shown);
    auto end = std::find_if_not(begin, points.end(), is_shown);
    if (begin != end) draw(begin, end);
    begin = end;
  }
}

std::string drawn(const Curve& curve, const char* color, const Axis& x, const Axis& y, double scale) {
  std::string svg;
  auto at = [&](double px, double py) {
    return fmt::format("{:.1f},{:.1f} ", x.place(px), y.place(scale * py));
  };
  for_each_stretch(curve.points, [&](auto begin, auto end) {
    std::string line, band, back;
    for (auto point = begin; point != end; ++point) {
      line += at(point->x, point->y);
      band += at(point->x, point->high);
      back.insert(0, at(point->x, point->low));
      if (curve.look == Curve::Look::dotted_points || end - begin == 1)
        svg += fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", color,
                           x.place(point->x), y.place(scale * point->y));
    }
    if (end - begin == 1) return;
    if (band + back != line) {
      bool ranges = std::any_of(begin, end, [](const Point& p) { return p.low < p.high; });
      if (ranges) svg += fmt::format("<polygon class=\"{}\" points=\"{}{}\"/>\n", color, band, back);
    }
    svg += fmt::format("<polyline class=\"{}{}\" points=\"{}\"/>\n", color,
                       curve.look == Curve::Look::level ? " level" : "", line);
  });
  return svg;
}

// [[x, …], [y, …]] of what is known, for the page's script.
std::string data_of(const Curve& curve, double scale) {
  std::string xs, ys;
  for (const Point& point : curve.points) {
    if (!is_shown(point)) continue;
    xs += fmt::format("{}{:.12g}", xs.empty() ? "" : ",", point.x);
    ys += fmt::format("{}\"{}\"", ys.empty() ? "" : ",", short_number(scale * point.y));
  }
  return fmt::format("[[{}],[{}]]", xs, ys);
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, int most) {
  if (!(low < high)) return {low};
  double rough = (high - low) / most, power = std::pow(10, std::floor(std::log10(rough)));
  double step = power;
  for (double factor : {1.0, 2.0, 5.0, 10.0, 20.0, 50.0}) {
    step = factor * power;
    if (std::floor(high / step) - std::ceil(low / step) + 1 <= most) break;
  }
  std::vector<double> ticks;
  for (double i = std::ceil(low / step); i <= std::floor(high / step); ++i) ticks.push_back(i * step);
  return ticks;
}

std::string short_number(double value) {
  double size = std::abs(value);
  if (!std::isfinite(value)) return "–";
  for (auto [unit, letter] : {std::pair{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}})
    if (size >= unit) return fmt::format("{:.4g}{}", value / (unit == 1e4 ? 1e3 : unit), letter);
  if (size >= 1000) {
    auto whole = static_cast<int64_t>(std::llround(size));
    return fmt::format("{}{},{:03}", value < 0 ? "-" : "", whole / 1000, whole % 1000);
  }
  std::string text = fmt::format("{:.4g}", value);
  if (size < 1e-4 && value != 0) {  // 2.5e-06: a zero less
    text = fmt::format("{:.2g}", value);
    if (size_t zero = text.find("e-0"); zero != std::string::npos) text.erase(zero + 2, 1);
  }
  return text;
}

std::string html_escaped(const std::string& text) {
  std::string escaped;
  for (char c : text) switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  return escaped;
}

std::vector<Point> thinned(const std::vector<Point>& points, size_t most) {
  size_t group = (points.size() + most - 1) / most;
  if (group <= 1) return points;
  std::vector<Point> result;
  for (size_t begin = 0; begin < points.size(); begin += group) {
    Range range;
    double sum = 0, count = 0, x = points[std::min(begin + group, points.size()) - 1].x;
    for (size_t i = begin; i < std::min(begin + group, points.size()); ++i) {
      if (!is_shown(points[i])) continue;
      sum += points[i].y;
      ++count;
      range.include(points[i].low);
      range.include(points[i].high);
    }
    result.push_back({x, sum / count, range.low, range.high});
  }
  return result;
}

std::string line_chart(const std::vector<Curve>& curves, const ChartOptions& options) {
  bool any = std::any_of(curves.begin(), curves.end(), [](const Curve& curve) {
    return std::any_of(curve.points.begin(), curve.points.end(), is_shown);
  });
  if (!any) return "";
  Axis x = horizontal_axis(curves), y = vertical_axis(curves, options);
  std::string legend, drawing = grid(x, y), data, unit = options.unit.empty() ? "" : ", " + options.unit;
  for (size_t c = 0; c < curves.size(); ++c) {
    const Curve& curve = curves[c];
    auto last = std::find_if(curve.points.rbegin(), curve.points.rend(), is_shown);
    if (last == curve.points.rend()) continue;
    std::string color = fmt::format("c{}", c);
    legend += fmt::format("<span><i class=\"{}\"></i>{} <b>{}</b></span>\n", color, html_escaped(curve.name),
                          short_number(options.scale * last->y));
    drawing += drawn(curve, color.c_str(), x, y, options.scale);
    data += (data.empty() ? "" : ",") + data_of(curve, options.scale);
  }
  return fmt::format(
      "<figure data-curves='[{}]' data-steps=\"{:.12g}\">\n"
      "<figcaption><h3>{}<small>{}{}</small></h3><output>step {}</output></figcaption>\n"
      "<div class=\"legend\">\n{}</div>\n"
      "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{} over the steps\">\n{}"
      "<text class=\"tick\" text-anchor=\"end\" x=\"{:g}\" y=\"{:g}\">steps</text>\n"
      "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"{:g}\" y2=\"{:g}\"/>\n</svg>\n</figure>\n",
      data, x.range.high, html_escaped(options.title), html_escaped(unit),
      y.logarithmic ? ", logarithmic" : "", short_number(x.range.high), legend, width, height,
      html_escaped(options.title), drawing, right, bottom + 29, top, bottom);
}

}  // namespace bertie
