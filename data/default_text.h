// A text to train on where none is given: some 20,000 short English sentences about people, their work and
// the seasons, made by a small grammar from a fixed seed, so that they are the same on every machine.
#pragma once
#include <string>

namespace bertie {

// ASCII. A line is two or three sentences, a blank line ends a scene (data/corpus.h). Subjects and verbs
// agree, and a scene keeps to its season, place and people, so most words can be guessed from the others.
std::string default_text();

}  // namespace bertie
