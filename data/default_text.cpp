#include "data/default_text.h"

#include <array>
#include <vector>

#include "autograd/random.h"

namespace bertie {
namespace {

constexpr int scenes = 2200;

// Somebody's work: "the baker bakes bread in the kitchen".
struct Trade {
  const char *one, *many, *verb, *verb_s, *verb_past, *object, *place;
};
constexpr Trade trades[] = {
    {"baker", "bakers", "bake", "bakes", "baked", "bread", "in the kitchen"},
    {"farmer", "farmers", "plant", "plants", "planted", "corn", "in the field"},
    {"sailor", "sailors", "tie", "ties", "tied", "ropes", "on the ship"},
    {"fisherman", "fishermen", "mend", "mends", "mended", "nets", "at the harbor"},
    {"gardener", "gardeners", "water", "waters", "watered", "roses", "in the garden"},
    {"shepherd", "shepherds", "count", "counts", "counted", "sheep", "on the hill"},
    {"carpenter", "carpenters", "build", "builds", "built", "tables", "in the workshop"},
    {"tailor", "tailors", "sew", "sews", "sewed", "shirts", "in the shop"},
    {"teacher", "teachers", "read", "reads", "read", "stories", "at the school"},
    {"doctor", "doctors", "visit", "visits", "visited", "patients", "at the hospital"},
    {"painter", "painters", "paint", "paints", "painted", "pictures", "in the studio"},
    {"miller", "millers", "grind", "grinds", "ground", "wheat", "at the mill"},
    {"cook", "cooks", "boil", "boils", "boiled", "soup", "at the inn"},
    {"weaver", "weavers", "weave", "weaves", "wove", "blankets", "at the loom"},
    {"singer", "singers", "sing", "sings", "sang", "songs", "on the stage"},
    {"hunter", "hunters", "follow", "follows", "followed", "tracks", "in the forest"},
    {"merchant", "merchants", "sell", "sells", "sold", "spices", "at the market"},
    {"librarian", "librarians", "sort", "sorts", "sorted", "books", "in the library"},
    {"blacksmith", "blacksmiths", "hammer", "hammers", "hammered", "iron", "at the forge"},
    {"miner", "miners", "dig", "digs", "dug", "coal", "under the mountain"},
    {"postman", "postmen", "carry", "carries", "carried", "letters", "along the street"},
    {"clockmaker", "clockmakers", "repair", "repairs", "repaired", "clocks", "in the tower"},
};

struct Season {
  const char* name;
  std::array<const char*, 3> today, past;  // what the weather does
  std::array<const char*, 3> adjectives;   // of mornings and evenings
  const char* wear;
};
constexpr Season seasons[] = {
    {"winter",
     {"snow falls on the roofs", "the river is frozen", "the wind blows from the north"},
     {"snow fell on the roofs", "the river was frozen", "the wind blew from the north"},
     {"cold", "dark", "white"},
     "a thick coat"},
    {"spring",
     {"the birds build nests", "rain falls on the young leaves", "the first flowers open"},
     {"the birds built nests", "rain fell on the young leaves", "the first flowers opened"},
     {"fresh", "green", "wet"},
     "a light jacket"},
    {"summer",
     {"the sun burns on the road", "the bees fly from flower to flower", "the children swim in the lake"},
     {"the sun burned on the road", "the bees flew from flower to flower", "the children swam in the lake"},
     {"warm", "bright", "golden"},
     "a straw hat"},
    {"autumn",
     {"the leaves turn red", "fog lies over the valley", "the apples are ripe"},
     {"the leaves turned red", "fog lay over the valley", "the apples were ripe"},
     {"gray", "windy", "misty"},
     "a wool scarf"},
};

struct Person {
  const char *name, *he, *him, *his;
};
constexpr Person people[] = {
    {"Anna", "she", "her", "her"},  {"Clara", "she", "her", "her"}, {"Emma", "she", "her", "her"},
    {"Grace", "she", "her", "her"}, {"Julia", "she", "her", "her"}, {"Ruth", "she", "her", "her"},
    {"Adam", "he", "him", "his"},   {"Henry", "he", "him", "his"},  {"Jack", "he", "him", "his"},
    {"Oscar", "he", "him", "his"},  {"Peter", "he", "him", "his"},  {"Tom", "he", "him", "his"}};

constexpr const char* nouns_near[] = {"with the old dog",       "with the two brothers",
                                      "near the stone bridges", "from the next village",
                                      "behind the tall trees",  "with the quiet sisters"};
constexpr const char* amounts[] = {"more", "the last", "the finest", "a lot of", "some", "the best"};
constexpr const char* hours[] = {"morning", "afternoon", "evening"};

// Sentences of one scene: its season, tense and three trades are drawn once.
class Scene {
 public:
  explicit Scene(Random& random)
      : random_(random),
        past_(random.below(2)),
        season_(pick(seasons)),
        first_(pick(people)),
        trade_(pick(trades)) {
    do second_ = pick(people);
    while (second_.name == first_.name);
    do other_trade_ = pick(trades);
    while (other_trade_.one == trade_.one);
  }

  std::string text() {
    std::string first = first_.name, second = second_.name;
    std::string weather = pick(past_ ? season_.past : season_.today), hour = pick(hours);
    std::vector<std::string> lines = {"It " + is() + " a " + pick(season_.adjectives) + " " + season_.name +
                                          " " + hour + ", and " + weather + ".",
                                      first + " " + is() + " a " + trade_.one + ", and " + second + " " +
                                          is() + " a " + other_trade_.one + "."};
    lines[0] += " " + first + " " + (past_ ? "wore " : "wears ") + season_.wear + ".";
    lines[1] += " " + capital(first_.he) + " " + works(trade_, false) + " " + trade_.object + " " +
                trade_.place + ".";
    lines[1] += " " + capital(second_.he) + " " + works(other_trade_, false) + " " + other_trade_.object +
                " " + other_trade_.place + ".";
    int more = 2 + static_cast<int>(random_.below(2));
    for (int i = 0; i < more; ++i) lines.push_back(subject_sentence() + " " + pair_sentence());
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text + "\n";
  }

 private:
  template <class T>
  const typename T::value_type& pick(const T& list) {
    return list[random_.below(list.size())];
  }
  template <class T, size_t n>
  const T& pick(const T (&list)[n]) {
    return list[random_.below(n)];
  }
  static std::string capital(std::string text) {
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
  }
  std::string is() const { return past_ ? "was" : "is"; }
  std::string works(const Trade& trade, bool many) const {
    return past_ ? trade.verb_past : many ? trade.verb : trade.verb_s;
  }

  // The words between subject and verb don't tell whether the subject is one or many.
  std::string subject_sentence() {
    const Trade& trade = random_.below(2) ? trade_ : other_trade_;
    bool many = random_.below(2);
    std::string amount = random_.below(2) ? std::string(pick(amounts)) + " " : "";
    return std::string("The ") + (many ? trade.many : trade.one) + " " + pick(nouns_near) + " " +
           works(trade, many) + " " + amount + trade.object + " " + trade.place + ".";
  }

  std::string pair_sentence() {
    std::string first = first_.name, second = second_.name, object = trade_.object;
    switch (random_.below(4)) {
      case 0:
        return first + (past_ ? " gave " : " gives ") + second + " some " + object + ", and " + second_.he +
               (past_ ? " thanked " : " thanks ") + first_.him + ".";
      case 1:
        return "In the evening " + first + " and " + second + (past_ ? " were" : " are") +
               " tired, but they " + (past_ ? "had" : "have") + " enough " + other_trade_.object + ".";
      case 2:
        return "Who " + works(trade_, false) + " the " + object + "? " + first + (past_ ? " did." : " does.");
      default:
        return second + (past_ ? " loved " : " loves ") + second_.his + " work and " +
               (past_ ? "talked" : "talks") + " about " + other_trade_.object + " with " + first + ".";
    }
  }

  Random& random_;
  bool past_;
  const Season& season_;
  Person first_, second_;
  Trade trade_, other_trade_;
};

}  // namespace

std::string default_text() {
  Random random(2018);
  std::string text;
  for (int i = 0; i < scenes; ++i) text += Scene(random).text();
  return text;
}

}  // namespace bertie
