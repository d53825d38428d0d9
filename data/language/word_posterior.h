// What the words of a masked line must be: for a text from an automaton, the distribution of each scored word
// given everything that a model sees, and so the best loss and accuracy that any model can reach.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "bertie/data/language/automaton.h"

namespace bertie {

// Exact for text drawn from the automaton and corrupted as Masking does it with the automaton's words as the
// ordinary tokens (data/batches/masking.h). Whether a visible word is a true one is as unknown here as it is
// to a model: at the scored position itself the word x shows [MASK] with probability 0.8, the word w with
// 0.1 [w = x] + 0.1 / V; at every other position [MASK] with 0.12, w with 0.865 [w = x] + 0.015 / V.
// Forward-backward (Rabiner, "A tutorial on hidden Markov models", 1989, section III) over states and topics:
// one pass forward and one back serve all positions of a line.
class WordPosterior {
 public:
  static constexpr int32_t hidden = -1;  // a word that shows [MASK]

  // What may be looked at, always with the position's own token.
  enum class Context {
    line,           // the whole line
    two_neighbors,  // two tokens on each side, [CLS] and [SEP] included, and the position's number
    left,           // all tokens to the left
  };

  // The automaton must outlive this, unchanged. Throws where it breaks what data/language/automaton.h says of
  // steps and indices.
  explicit WordPosterior(const Automaton& automaton);

  // p(word) [scored.size(), V] f64, row by row, of the words at these positions (ascending, from 0) of an
  // observed line: indices of the automaton's words, or `hidden`, without [CLS] and [SEP]. May run on many
  // threads. Throws where a position or a word is out of range, no line of the language is as long, or what
  // is seen on one side rules out what is seen on the other beyond the range of f64.
  // `topics`: the probability of each topic from what else is known of the line; none: the automaton's.
  std::vector<double> operator()(std::span<const int32_t> observed, std::span<const int64_t> scored,
                                 Context context = Context::line, std::span<const double> topics = {}) const;

  // p(topic) [topics] f64, given a whole observed line. Throws as above.
  std::vector<double> topics(std::span<const int32_t> observed) const;

  const Automaton& automaton() const { return automaton_; }

 private:
  struct Reached {
    int32_t state;
    double p;
  };
  struct Emitter {
    int32_t word_class;
    const double* p;  // [topics], of the word
  };
  struct Window {  // the positions that a pass looks at
    int64_t begin, end;
    bool closed;      // the line is known to end with it; else no more is known than that it reaches its end
    bool right_seen;  // by a scored position
  };
  struct Scratch;

  // Throws where it is none that the language can show.
  void check(std::span<const int32_t> observed) const;
  // p of the scored positions in the window, by one pass forward and one back. topics [width].
  void pass(std::span<const int32_t> observed, std::span<const int64_t> scored, const Window& window,
            const double* topics, double* p) const;
  // Finds the states of the window's positions, and the rows of the scored ones: p(state, topic, tokens
  // before the position), up to a factor.
  void forward(std::span<const int32_t> observed, std::span<const int64_t> scored, const Window& window,
               const double* topics, Scratch& scratch) const;
  const uint8_t* fits(const Window& window, int64_t position) const {
    return fits_[window.closed ? window.end - position : 0].data();
  }
  // The row [width] of a state's class among those of all classes.
  double* class_row(std::vector<double>& rows, int32_t state) const {
    return rows.data() + automaton_.states[state].word_class * width_;
  }
  // Likelihood [classes, width] of a token that isn't asked for.
  void emission(int32_t token, std::vector<double>& likelihood) const;
  // A row of p from the weights [classes, width] that the context gives classes and topics.
  void word_row(int32_t token, const std::vector<double>& weights, double* p) const;

  const Automaton& automaton_;
  int64_t width_;                               // the topics, rounded up to whole vectors
  std::vector<double> topics_;                  // [width], then 0
  std::vector<std::vector<Emitter>> emitters_;  // of each word
  // For each position, the states that lines have there, ascending, and how probable each is.
  std::vector<std::vector<Reached>> reached_;
  // fits_[r][state], r ≥ 1: a line may have exactly r words left where it comes to this state. fits_[0]: all.
  std::vector<std::vector<uint8_t>> fits_;
  std::vector<double> end_;  // of each state: p of its step to `end`
};

}  // namespace bertie
