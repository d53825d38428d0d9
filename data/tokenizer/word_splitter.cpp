#include "bertie/data/tokenizer/word_splitter.h"

#include <array>

// Only the shortcut for ASCII, where no character has an accent; the steps themselves are in the header, as a
// template that serves every sink.
namespace bertie::detail {
namespace {

std::array<uint8_t, 128> make_actions(bool lowers_case) {
  std::array<uint8_t, 128> actions;
  for (char32_t c = 0; c < actions.size(); ++c) {
    CharacterKind kind = character_kind(c);
    if (kind == CharacterKind::removed) {
      actions[c] = ascii_removed;
    } else if (kind == CharacterKind::space) {
      actions[c] = ascii_space;
    } else if (is_punctuation(c)) {
      actions[c] = ascii_punctuation;
    } else {
      actions[c] = static_cast<uint8_t>(lowers_case ? lower_case(c).code_points[0] : c);
    }
  }
  return actions;
}

}  // namespace

const uint8_t* ascii_actions(bool lowers_case) {
  static const std::array<uint8_t, 128> lowered = make_actions(true), kept = make_actions(false);
  return lowers_case ? lowered.data() : kept.data();
}

}  // namespace bertie::detail
