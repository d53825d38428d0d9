// Writes a text of pseudo-words whose frequencies follow Zipf's law to standard output, in lines of 5 to 45
// words, one in ten of which ends a document.
//   make_words BYTES
// There are three million words; the one of rank r is drawn with a probability proportional to 1 / (r + 2.7)
// (Mandelbrot's form of the law, with its constant for English).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bertie/autograd/random.h"

namespace {

constexpr int64_t word_count = 3'000'000;

// Syllables by the digits of its rank: frequent words are short, and no two are alike.
std::string word(int64_t rank) {
  constexpr const char* beginnings[] = {"b", "c", "d", "f", "g", "h",  "l",  "m",  "n",  "p",
                                        "r", "s", "t", "v", "w", "ch", "sh", "th", "st", "tr"};
  constexpr char vowels[] = {'a', 'e', 'i', 'o', 'u'};
  std::string text;
  for (int64_t rest = rank + 1; rest > 0; rest /= 101) {
    int64_t digit = rest % 101;
    text += digit == 100 ? std::string("n") : beginnings[digit / 5] + std::string(1, vowels[digit % 5]);
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: make_words BYTES\n", stderr), 2;
  auto wanted = static_cast<int64_t>(std::atof(argv[1]));
  std::vector<std::string> words;
  std::vector<double> sums = {0};
  for (int64_t rank = 0; rank < word_count; ++rank) {
    words.push_back(word(rank));
    sums.push_back(sums.back() + 1 / (static_cast<double>(rank) + 3.7));
  }
  bertie::Random random(1);
  std::string line;
  for (int64_t written = 0; written < wanted; written += static_cast<int64_t>(line.size())) {
    line.clear();
    for (uint64_t left = 5 + random.below(41); left > 0; --left) {
      auto above = std::upper_bound(sums.begin(), sums.end(), random.uniform() * sums.back());
      line += words[std::min<size_t>(above - sums.begin(), words.size()) - 1];
      line += left > 1 ? " " : random.below(10) == 0 ? ".\n\n" : ".\n";
    }
    line[0] = static_cast<char>(line[0] - 'a' + 'A');
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) return 1;
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
