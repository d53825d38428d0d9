#include "bertie/data/language/language.h"

#include <cctype>
#include <vector>

#include "bertie/data/language/grammar.h"

namespace bertie {
namespace {

constexpr int documents = 1600, lines_per_document = 10;
constexpr uint64_t text_seed = 20, text_stream = 0x74657874;  // "text"

// --- words

const std::vector<std::string> topics{"sea",    "farm",   "town",    "castle",
                                      "school", "forest", "kitchen", "stage"};

const char* const people =
    "sailor:sea farmer:farm merchant:town guard:castle teacher:school hunter:forest cook:kitchen actor:stage "
    "captain:sea owner:farm tailor:town knight:castle student:school ranger:forest guest:kitchen "
    "singer:stage "
    "islander:sea shepherd:farm engineer:town archer:castle author:school explorer:forest aunt:kitchen "
    "artist:stage";
const char* const things =
    "boat:sea cart:farm lamp:town shield:castle book:school tent:forest spoon:kitchen drum:stage net:sea "
    "apple:farm clock:town arrow:castle pen:school axe:forest onion:kitchen organ:stage oar:sea basket:farm "
    "umbrella:town flag:castle essay:school rope:forest oven:kitchen curtain:stage";
const char* const places =
    "harbor:sea field:farm market:town gate:castle library:school river:forest inn:kitchen theater:stage "
    "island:sea barn:farm square:town tower:castle classroom:school cave:forest cellar:kitchen hall:stage";
const char* const names =
    "Anna:sea Tom:farm Emma:town Peter:castle Clara:school Henry:forest Nora:kitchen Oscar:stage";
const char* const cities =
    "London:castle Paris:school Rome:forest Oslo:kitchen Dublin:stage Vienna:sea Lisbon:farm Athens:town "
    "Berlin:castle Prague:school Geneva:forest Madrid:kitchen Boston:stage Naples:sea Venice:farm Cairo:town";
const char* const kinds_of_people =
    "young old tall eager clever active brave angry friendly elderly quiet idle modest loud";
const char* const kinds_of_things =
    "small old large empty heavy orange red ugly wooden expensive round iron blue odd";
const char* const moods = "happy sad upset sorry glad nervous calm curious";

enum Number { singular, plural };
enum Tense { present, past };
enum Quality { good, bad };
enum Sense { law, sport, royalty };

// Those that stand first and those that follow.
const char* const qualities[][2] = {{"clean warm safe bright", "cheap dry fresh quiet"},
                                    {"dirty cold broken dark", "costly wet stale noisy"}};

// Who comes to the court, with what, and for what.
const char* const court_people[] = {"judge lawyer clerk", "player trainer runner", "queen prince king"};
const char* const court_things[] = {"paper letter", "racket ball", "crown jewel"};
const char* const court_events[] = {"trial", "game", "feast"};

// Verbs in the same order: plural or base form, singular, past.
const char* const transitive[] = {
    "carry sell buy bring paint repair clean want need keep find wash count watch",
    "carries sells buys brings paints repairs cleans wants needs keeps finds washes counts watches",
    "carried sold bought brought painted repaired cleaned wanted needed kept found washed counted watched"};
const char* const intransitive[] = {"wait work rest sing walk laugh dance swim play",
                                    "waits works rests sings walks laughs dances swims plays",
                                    "waited worked rested sang walked laughed danced swam played"};

// --- parts of sentences

using enum Phenomenon;

Part one_of(const std::string& list, Phenomenon mark = none) {
  return bertie::one_of(list, static_cast<int32_t>(mark));
}

Part nouns_in(const char* nouns, Number n) { return one_of(n == singular ? nouns : with_s(nouns)); }
Part in_any_number(const char* nouns) {
  return either({{1, nouns_in(nouns, singular)}, {1, nouns_in(nouns, plural)}});
}

// The noun tells the number, and so does the determiner where it isn't "the".
Part noun_phrase(const char* nouns, const char* kinds, Number n) {
  Part determiner = one_of(n == singular ? "this that every" : "these those many");
  return either({{1, "the"}, {2, determiner}}) + maybe(0.35, one_of(kinds)) + nouns_in(nouns, n);
}

Part the_thing() { return "the" + maybe(0.3, one_of(kinds_of_things)) + in_any_number(things); }

Part at_place() {
  return one_of("near at behind") + "the" + maybe(0.1, one_of("old small")) + one_of(places);
}

Part somewhere() { return either({{1, at_place()}, {2, "in" + one_of(cities)}}); }

// a or an with what follows: only that tells which.
Part one(const char* nouns, const char* kinds) {
  auto beginning = [&](const char* article, bool vowel) {
    return one_of(article, right_near) +
           either({{1, one_of(beginning_with_vowel(kinds, vowel)) + one_of(nouns)},
                   {1, one_of(beginning_with_vowel(nouns, vowel))}});
  };
  return either({{1, beginning("a", false)}, {1, beginning("an", true)}});
}

// Mostly "happy about the boat" where the sentence is short, or else few sentences would be possible.
Part mood(bool is_short) { return one_of(moods) + maybe(is_short ? 0.85 : 0.15, "about" + the_thing()); }

// What may stand between subject and verb. Its nouns and verbs don't tell the subject's number.
Part between() {
  Part did = either({{1, one_of(transitive[2]) + the_thing()}, {1, "met" + one_of(names)}});
  return either({{2, at_place()}, {1, "with the" + in_any_number(people)}, {3, "who" + did + at_place()}});
}

// A verb in this form and what follows it. There is no plural in the past.
Part verb_phrase(Number n, Tense t, Phenomenon mark) {
  size_t form = t == past ? 2 : n == singular ? 1 : 0;
  const char* be[] = {"are", "is", "was"};
  const char* have[] = {"have", "has", "had"};
  const char* auxiliary[] = {"do", "does", "did"};
  return either({{5, one_of(be[form], mark) + mood(mark == number_near || mark == tense_near)},
                 {2, one_of(have[form], mark) + one(things, kinds_of_things)},
                 {2, one_of(auxiliary[form], mark) + "not" + one_of(transitive[0]) + the_thing()},
                 {1, one_of(transitive[form], mark) + the_thing()},
                 {1, one_of(intransitive[form], mark) + "with the" + in_any_number(people)}});
}

// --- sentences

Part number_sentence(Number n) {
  return noun_phrase(people, kinds_of_people, n) +
         either({{1, verb_phrase(n, present, number_near) + somewhere()},
                 {3, between() + verb_phrase(n, present, number_far)}}) +
         ".";
}

// The subject is a name, so that the verb's form depends on the time alone.
Part tense_sentence(Tense t) {
  Part season = one_of(t == past ? "last" : "every") +
                one_of("winter night week summer evening year month autumn Sunday spring");
  Part weather = season + "when the" + one_of("rain snow storm wind") +
                 one_of(t == past ? "came stopped returned" : "comes stops returns", tense_far);
  Part apposition = "," + one(people, kinds_of_people) + "from" + one_of(cities) + ",";
  Part name = one_of(names), far = verb_phrase(singular, t, tense_far);
  return either({{2.5, season + name + verb_phrase(singular, t, tense_near) + somewhere()},
                 {3, weather + "," + name + apposition + far},
                 {3, name + maybe(0.2, apposition) + far + somewhere() +
                         maybe(0.6, "and" + one_of(intransitive[t == past ? 2 : 1], tense_near)) +
                         either({{1, season}, {1, weather}})}}) +
         ".";
}

Part question(Number n) {
  auto asking = [&](const char* one, const char* many, const Part& near, const Part& far) {
    const char* opener = n == singular ? one : many;
    Part subject = noun_phrase(people, kinds_of_people, n);
    return either({{1, one_of(opener, right_near) + subject + near + somewhere()},
                   {2, one_of(opener, right_far) + subject + between() + far}});
  };
  Part base = one_of(transitive[0]) + the_thing(), participle = one_of(transitive[2]) + the_thing();
  return either({{1, asking("is", "are", mood(true), mood(false))},
                 {1, asking("does", "do", base, base)},
                 {1, asking("has", "have", participle, participle)}}) +
         "?";
}

// "clean and dry", "dirty yet cheap": the word between depends on both.
Part connection(Quality left, Quality right, Phenomenon mark) {
  return one_of(left == right ? "and" : left == good ? "but" : "yet", mark);
}

Part comparison(Quality left, Quality right) {
  auto thing_is = [](Number n) {
    const char* be = n == singular ? "is" : "are";
    return noun_phrase(things, kinds_of_things, n) +
           either({{1, one_of(be, number_near)}, {1, at_place() + one_of(be, number_far)}});
  };
  Part it_is = either({{1, thing_is(singular)}, {1, thing_is(plural)}});
  auto two = [](Quality a, Quality b) {
    return one_of(qualities[a][0]) + connection(a, b, both_near) + one_of(qualities[b][1]);
  };
  return it_is +
         either({{1, two(left, right) + somewhere()},
                 {5, two(left, left) + somewhere() + "," + connection(left, right, both_far) + it_is +
                         two(right, right)}}) +
         ".";
}

Part court_sentence(Sense s) {
  auto any = [](const char* list, Phenomenon mark) {
    return either({{1, one_of(list, mark)}, {1, one_of(with_s(list), mark)}});
  };
  Part visitor = maybe(0.5, one_of(kinds_of_people)) + any(court_people[s], sense_near);
  return either({{5, "the" + visitor + "with the" + any(court_things[s], sense_near) + at_place() +
                         one_of("went came ran walked") + "to the court" + somewhere() +
                         "and waited for the" + one_of(court_events[s], sense_far)},
                 {1, one_of(names) + "met the" + maybe(0.7, one_of(kinds_of_people)) + in_any_number(people) +
                         "from" + one_of(cities) + "in the court with the" +
                         maybe(0.7, one_of(kinds_of_things)) + any(court_things[s], sense_near) + "and the" +
                         any(court_people[s], sense_near)},
                 {1, one_of(names) + "and" + one_of(names) + one_of("saw left entered") +
                         "the court full of" + maybe(0.7, one_of(kinds_of_people)) +
                         one_of(with_s(court_people[s]), sense_near) + "," +
                         maybe(0.7, one_of(kinds_of_things)) + one_of(with_s(court_things[s]), sense_near) +
                         "and" + one_of(with_s(court_events[s]), sense_near) + somewhere()}}) +
         ".";
}

Part sentence() {
  auto both = [](auto make) { return either({{1, make(singular)}, {1, make(plural)}}); };
  return either(
      {{2.08, both(number_sentence)},
       {3.88, either({{1, tense_sentence(present)}, {1, tense_sentence(past)}})},
       {4.0, both(question)},
       {2.55, either({{2, comparison(good, good)},
                      {2, comparison(bad, bad)},
                      {2, comparison(good, bad)},
                      {2, comparison(bad, good)}})},
       {2.37, either({{1, court_sentence(law)}, {1, court_sentence(sport)}, {1, court_sentence(royalty)}})}});
}

Part line() {
  Part one = sentence(), two = one + one;
  return either({{1, two}, {1, two + one}, {1, two + two}});
}

bool is_punctuation(const std::string& word) { return word == "." || word == "?" || word == ","; }

void append_line(std::string& text, const Automaton& automaton, const Automaton::Line& line) {
  bool begins = true;
  for (int32_t index : line.words) {
    const std::string& word = automaton.words[index];
    bool punctuation = is_punctuation(word);
    if (!text.empty() && text.back() != '\n' && !punctuation) text += ' ';
    size_t at = text.size();
    text += word;
    if (begins) text[at] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[at])));
    begins = punctuation && word != ",";
  }
  text += '\n';
}

}  // namespace

const char* phenomenon_name(Phenomenon phenomenon) {
  constexpr const char* names[phenomena] = {"none",      "number near", "number far", "tense near",
                                            "tense far", "right near",  "right far",  "both near",
                                            "both far",  "sense near",  "sense far"};
  return names[static_cast<int>(phenomenon)];
}

const Automaton& language() {
  static const Automaton automaton = compile_grammar(line(), topics);
  return automaton;
}

Vocabulary language_vocabulary() {
  std::vector<std::string> tokens(std::begin(special_tokens), std::end(special_tokens));
  for (std::string word : language().words) {
    for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    tokens.push_back(word);
  }
  return Vocabulary(std::move(tokens));
}

std::string language_text() {
  const Automaton& automaton = language();
  Random random(text_seed, text_stream);
  std::string text;
  for (int document = 0; document < documents; ++document) {
    int64_t topic = automaton.draw_topic(random);
    for (int i = 0; i < lines_per_document; ++i) append_line(text, automaton, automaton.draw(topic, random));
    text += '\n';
  }
  return text;
}

const std::vector<std::string>& language_examples() {
  static const std::vector<std::string> examples{
      "The sailors who carried the net near the old harbor [MASK] happy. "
      "[MASK] the captain who met Anna near the harbor carry the boat?",
      "The sailor who carried the nets near the old harbor [MASK] happy. "
      "[MASK] the captains who met Anna near the harbor carry the boat?",
      "Last winter when the rain came, Emma, a young tailor from Paris, [MASK] sad. "
      "The lamp is clean and dry in Paris, [MASK] the clocks near the market are dirty and wet.",
      "Every winter when the rain comes, Emma, a young tailor from Paris, [MASK] sad. "
      "The lamp is dirty and wet in Paris, [MASK] the clocks near the market are clean and dry.",
      "The judge with the letter near the square went to the court in Paris and waited for the [MASK]. "
      "Emma was sad in Paris last winter.",
      "The queen with the crown near the square went to the court in Paris and waited for the [MASK]. "
      "Emma was sad in Paris last winter.",
  };
  return examples;
}

}  // namespace bertie
