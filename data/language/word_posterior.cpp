#include "bertie/data/language/word_posterior.h"

#include <algorithm>
#include <numeric>

#include "bertie/autograd/error.h"
#include "bertie/data/batches/masking.h"

namespace bertie {
namespace {

constexpr const char* where = "word_posterior";

// What a scored token shows: [MASK], a word drawn at random, or itself.
constexpr double kept = 1 - Masking::hidden - Masking::replaced;
// What any other position shows, scored or not, since that can't be seen: 0.12, 0.015 and 0.865.
constexpr double shows_mask = Masking::scored * Masking::hidden;
constexpr double shows_random = Masking::scored * Masking::replaced;
constexpr double shows_itself = 1 - Masking::scored + Masking::scored * kept;

// Rows over the topics are padded to whole blocks of this many, so that the compiler makes vectors of them.
constexpr int64_t block = 8;

// y += factor · x
void add_scaled(double factor, const double* __restrict x, double* __restrict y, int64_t width) {
  for (int64_t b = 0; b < width; b += block) {
    for (int64_t t = b; t < b + block; t++) y[t] += factor * x[t];
  }
}

// x *= factor · y; sums [block] += x. Sums side by side, since each addition waits for the one before it.
void multiply(double factor, const double* __restrict y, double* __restrict x, int64_t width,
              double* __restrict sums) {
  for (int64_t b = 0; b < width; b += block) {
    for (int64_t t = 0; t < block; t++) {
      x[b + t] *= factor * y[b + t];
      sums[t] += x[b + t];
    }
  }
}

// sum += x · y
void add_product(const double* __restrict x, const double* __restrict y, double* __restrict sum,
                 int64_t width) {
  for (int64_t b = 0; b < width; b += block) {
    for (int64_t t = b; t < b + block; t++) sum[t] += x[t] * y[t];
  }
}

// What else would be read out of bounds, or walked in circles.
void check_automaton(const Automaton& automaton) {
  size_t topics = automaton.topics.size();
  BERTIE_CHECK(topics > 0 && !automaton.words.empty(), where,
               "an automaton must have topics and words, got {} and {}", topics, automaton.words.size());
  auto check_index = [](const char* what, int64_t index, size_t count) {
    BERTIE_CHECK(index >= 0 && index < static_cast<int64_t>(count), where, "{} must be below {}, got {}",
                 what, count, index);
  };
  for (const auto& [words, p] : automaton.classes) {
    BERTIE_CHECK(p.size() == words.size() * topics, where,
                 "a class must have p for {} words and {} topics, got {}", words.size(), topics, p.size());
    for (int32_t word : words) check_index("the words of a class", word, automaton.words.size());
  }
  for (const Automaton::Step& step : automaton.first) {
    check_index("the state of a first step", step.state, automaton.states.size());
  }
  for (size_t s = 0; s < automaton.states.size(); s++) {
    check_index("the class of a state", automaton.states[s].word_class, automaton.classes.size());
    for (const Automaton::Step& step : automaton.states[s].steps) {
      if (step.state != Automaton::end) check_index("the state after a state", step.state, s);
    }
  }
}

}  // namespace

struct WordPosterior::Scratch {
  std::vector<double> rows;                  // [states, width]
  std::vector<double> prefixes;              // rows at scored positions, one after the other
  std::vector<double> likelihood, weights;   // [classes, width]
  std::vector<std::vector<int32_t>> states;  // for each position of the window, ascending

  static Scratch& of_thread() {
    thread_local Scratch scratch;
    return scratch;
  }
};

WordPosterior::WordPosterior(const Automaton& automaton) : automaton_(automaton) {
  check_automaton(automaton);
  int64_t topics = automaton.topic_count();
  width_ = (topics + block - 1) / block * block;
  topics_ = automaton.topics;
  topics_.resize(width_);

  emitters_.resize(automaton.words.size());
  for (size_t c = 0; c < automaton.classes.size(); c++) {
    const Automaton::WordClass& of = automaton.classes[c];
    for (size_t k = 0; k < of.words.size(); k++) {
      emitters_[of.words[k]].push_back({static_cast<int32_t>(c), &of.p[k * topics]});
    }
  }

  size_t count = automaton.states.size();
  std::vector<double> p(count);
  for (const Automaton::Step& step : automaton.first) p[step.state] += step.p;
  for (;;) {
    std::vector<Reached> here;
    for (size_t s = 0; s < count; s++) {
      if (p[s] > 0) here.push_back({static_cast<int32_t>(s), p[s]});
    }
    if (here.empty()) break;
    for (const Reached& from : here) {  // ascending, so the states that steps lead to are already cleared
      p[from.state] = 0;
      for (const Automaton::Step& step : automaton.states[from.state].steps) {
        if (step.state != Automaton::end) p[step.state] += from.p * step.p;
      }
    }
    reached_.push_back(std::move(here));
  }

  end_.resize(count);
  fits_.assign(reached_.size() + 1, std::vector<uint8_t>(count));
  std::fill(fits_[0].begin(), fits_[0].end(), 1);
  for (size_t s = 0; s < count; s++) {
    for (const Automaton::Step& step : automaton.states[s].steps) {
      if (step.p <= 0) continue;
      if (step.state == Automaton::end) end_[s] += step.p;
      for (size_t left = 2; left < fits_.size() && step.state != Automaton::end; left++) {
        fits_[left][s] |= fits_[left - 1][step.state];
      }
    }
    if (fits_.size() > 1) fits_[1][s] = end_[s] > 0;
  }
}

void WordPosterior::emission(int32_t token, std::vector<double>& likelihood) const {
  double of_any = token == hidden ? shows_mask : shows_random / static_cast<double>(automaton_.word_count());
  likelihood.assign(automaton_.classes.size() * width_, of_any);
  if (token == hidden) return;
  for (const Emitter& emitter : emitters_[token]) {
    double* row = &likelihood[emitter.word_class * width_];
    for (int64_t t = 0; t < automaton_.topic_count(); t++) row[t] += shows_itself * emitter.p[t];
  }
}

void WordPosterior::word_row(int32_t token, const std::vector<double>& weights, double* p) const {
  int64_t count = automaton_.word_count();
  double sum = 0;
  for (int64_t word = 0; word < count; word++) {
    double own = token == hidden ? Masking::hidden
                                 : Masking::replaced / static_cast<double>(count) + (word == token) * kept;
    for (const Emitter& emitter : emitters_[word]) {
      const double* row = &weights[emitter.word_class * width_];
      for (int64_t t = 0; t < automaton_.topic_count(); t++) p[word] += own * row[t] * emitter.p[t];
    }
    sum += p[word];
  }
  BERTIE_CHECK(sum > 0, where, "the tokens contradict each other beyond what 64-bit numbers can weigh");
  for (int64_t word = 0; word < count; word++) p[word] /= sum;
}

void WordPosterior::forward(std::span<const int32_t> observed, std::span<const int64_t> scored,
                            const Window& window, const double* topics, Scratch& scratch) const {
  auto& [rows, prefixes, likelihood, weights, states] = scratch;
  auto row = [rows = &rows, this](int32_t state) { return rows->data() + state * width_; };
  states.resize(std::max<size_t>(states.size(), window.end - window.begin));
  for (int64_t i = window.begin; i < window.end; i++) {
    states[i - window.begin].clear();
    for (const Reached& reached : reached_[i]) {
      if (fits(window, i)[reached.state]) states[i - window.begin].push_back(reached.state);
    }
  }

  // In place: states ascend, and the rows that steps lead to, lower ones, have been passed on and cleared.
  rows.assign(automaton_.states.size() * width_, 0);
  for (const Reached& reached : reached_[window.begin]) {
    if (fits(window, window.begin)[reached.state]) add_scaled(reached.p, topics, row(reached.state), width_);
  }
  prefixes.clear();
  auto next = scored.begin();
  double scale = 1;
  for (int64_t i = window.begin; next != scored.end(); i++) {
    const std::vector<int32_t>& here = states[i - window.begin];
    if (i == *next) {
      for (int32_t s : here) prefixes.insert(prefixes.end(), row(s), row(s) + width_);
      if (++next == scored.end()) break;
    }
    emission(observed[i], likelihood);
    const uint8_t* open = fits(window, i + 1);
    double sums[block] = {};
    for (int32_t s : here) {
      multiply(scale, class_row(likelihood, s), row(s), width_, sums);
      for (const Automaton::Step& step : automaton_.states[s].steps) {
        if (step.state != Automaton::end && open[step.state])
          add_scaled(step.p, row(s), row(step.state), width_);
      }
      std::fill(row(s), row(s) + width_, 0.0);
    }
    scale = 1 / std::accumulate(sums, sums + block, 0.0);
  }
}

void WordPosterior::pass(std::span<const int32_t> observed, std::span<const int64_t> scored,
                         const Window& window, const double* topics, double* p) const {
  Scratch& scratch = Scratch::of_thread();
  forward(observed, scored, window, topics, scratch);

  // Back: a row is p(tokens after the position | state, topic), up to a factor, and then times that of the
  // position's own token. In place: states descend, and the rows that steps lead to are still those of the
  // position after.
  auto& [rows, prefixes, likelihood, weights, states] = scratch;
  auto row = [rows = &rows, this](int32_t state) { return rows->data() + state * width_; };
  const double* prefix = prefixes.data() + prefixes.size();
  auto next = scored.end();
  double scale = 1;
  for (int64_t i = window.end - 1; next != scored.begin(); i--) {
    bool asked = i == *(next - 1);
    if (!asked && !window.right_seen) continue;
    if (asked) weights.assign(automaton_.classes.size() * width_, 0);
    emission(observed[i], likelihood);
    bool last = i == window.end - 1 || !window.right_seen;
    const uint8_t* open = last ? nullptr : fits(window, i + 1);
    const std::vector<int32_t>& here = states[i - window.begin];
    double sums[block] = {};
    for (auto s = here.rbegin(); s != here.rend(); ++s) {
      std::fill(row(*s), row(*s) + width_, !last ? 0 : window.closed ? end_[*s] : 1.0);
      for (const Automaton::Step& step : automaton_.states[*s].steps) {
        if (!last && step.state != Automaton::end && open[step.state])
          add_scaled(step.p, row(step.state), row(*s), width_);
      }
      if (asked) add_product(prefix -= width_, row(*s), class_row(weights, *s), width_);
      multiply(scale, class_row(likelihood, *s), row(*s), width_, sums);
    }
    scale = 1 / std::accumulate(sums, sums + block, 0.0);
    if (asked) {
      --next;
      word_row(observed[i], weights, p + (next - scored.begin()) * automaton_.word_count());
    }
  }
}

void WordPosterior::check(std::span<const int32_t> observed) const {
  auto length = static_cast<int64_t>(observed.size());
  for (int32_t word : observed) {
    BERTIE_CHECK(word >= hidden && word < automaton_.word_count(), where,
                 "words must be below {} or -1 for a hidden one, got {}", automaton_.word_count(), word);
  }
  bool possible = length > 0 && length < static_cast<int64_t>(fits_.size()) &&
                  std::any_of(reached_[0].begin(), reached_[0].end(),
                              [&](const Reached& first) { return fits_[length][first.state]; });
  BERTIE_CHECK(possible, where, "the language must have lines of the length, got {} words", length);
}

std::vector<double> WordPosterior::operator()(std::span<const int32_t> observed,
                                              std::span<const int64_t> scored, Context context,
                                              std::span<const double> topics) const {
  auto length = static_cast<int64_t>(observed.size());
  check(observed);
  for (size_t k = 0; k < scored.size(); k++) {
    BERTIE_CHECK(scored[k] >= 0 && scored[k] < length && (k == 0 || scored[k] > scored[k - 1]), where,
                 "scored positions must ascend and be below the line's length {}, got {}", length, scored[k]);
  }
  BERTIE_CHECK(topics.empty() || topics.size() == automaton_.topics.size(), where,
               "there must be a probability of each of the {} topics, got {}", automaton_.topics.size(),
               topics.size());
  std::vector<double> prior = topics_;
  std::copy(topics.begin(), topics.end(), prior.begin());

  std::vector<double> p(scored.size() * automaton_.words.size());
  if (scored.empty()) return p;
  if (context == Context::line) {
    pass(observed, scored, {0, length, true, true}, prior.data(), p.data());
  } else if (context == Context::left) {
    pass(observed, scored, {0, scored.back() + 1, false, false}, prior.data(), p.data());
  } else {
    for (size_t k = 0; k < scored.size(); k++) {
      int64_t i = scored[k], begin = std::max<int64_t>(i - 2, 0), end = std::min(i + 3, length);
      pass(observed, scored.subspan(k, 1), {begin, end, i + 2 >= length, true}, prior.data(),
           &p[k * automaton_.words.size()]);
    }
  }
  return p;
}

std::vector<double> WordPosterior::topics(std::span<const int32_t> observed) const {
  check(observed);
  // The rows of the last position, then its own token and the step to `end`.
  const int64_t last = static_cast<int64_t>(observed.size()) - 1;
  Scratch& scratch = Scratch::of_thread();
  forward(observed, {&last, 1}, {0, last + 1, true, true}, topics_.data(), scratch);
  emission(observed[last], scratch.likelihood);
  std::vector<double> p(width_);
  double* prefix = scratch.prefixes.data();
  double sums[block] = {};
  for (int32_t s : scratch.states[last]) {
    multiply(end_[s], class_row(scratch.likelihood, s), prefix, width_, sums);
    add_scaled(1, prefix, p.data(), width_);
    prefix += width_;
  }
  double sum = std::accumulate(sums, sums + block, 0.0);
  p.resize(automaton_.topics.size());
  for (double& of_topic : p) of_topic /= sum;
  return p;
}

}  // namespace bertie
