#include "data/default_text.h"

#include <array>
#include <map>
#include <string_view>

#include "autograd/random.h"

namespace bertie {
namespace {

constexpr int scenes = 1900;

// A word in braces is a key of this grammar: {Anna} stands for the first person of a scene, {bread} for what
// {she} makes. The first row of each table has the keys, the others what may stand for them. {a|b} is a in
// the present and b in the past.
template <size_t columns>
using Row = std::array<const char*, columns>;

constexpr Row<6> trades[] = {
    {"baker", "bakers", "bakes", "bake", "bread", "in the kitchen"},
    {"baker", "bakers", "{bakes|baked}", "{bake|baked}", "bread", "in the kitchen"},
    {"farmer", "farmers", "{plants|planted}", "{plant|planted}", "corn", "in the field"},
    {"sailor", "sailors", "{ties|tied}", "{tie|tied}", "ropes", "on the ship"},
    {"fisherman", "fishermen", "{mends|mended}", "{mend|mended}", "nets", "at the harbor"},
    {"gardener", "gardeners", "{waters|watered}", "{water|watered}", "roses", "in the garden"},
    {"shepherd", "shepherds", "{counts|counted}", "{count|counted}", "sheep", "on the hill"},
    {"carpenter", "carpenters", "{builds|built}", "{build|built}", "tables", "in the workshop"},
    {"tailor", "tailors", "{sews|sewed}", "{sew|sewed}", "shirts", "in the shop"},
    {"teacher", "teachers", "{tells|told}", "{tell|told}", "stories", "at the school"},
    {"painter", "painters", "{paints|painted}", "{paint|painted}", "pictures", "in the studio"},
    {"miller", "millers", "{grinds|ground}", "{grind|ground}", "wheat", "at the mill"},
    {"cook", "cooks", "{boils|boiled}", "{boil|boiled}", "soup", "at the inn"},
    {"weaver", "weavers", "{weaves|wove}", "{weave|wove}", "blankets", "at the loom"},
    {"singer", "singers", "{sings|sang}", "{sing|sang}", "songs", "on the stage"},
    {"merchant", "merchants", "{sells|sold}", "{sell|sold}", "spices", "at the market"},
    {"blacksmith", "blacksmiths", "{hammers|hammered}", "{hammer|hammered}", "iron", "at the forge"},
    {"miner", "miners", "{digs|dug}", "{dig|dug}", "coal", "under the mountain"},
};
constexpr Row<6> second_trade = {"miner", "miners", "digs", "dig", "coal", "in the mine"};

constexpr Row<4> seasons[] = {{"winter", "cold", "a coat", "snow falls"},
                              {"winter", "white", "a thick coat", "snow {falls|fell} on the roofs"},
                              {"winter", "dark", "a thick coat", "the river {is|was} frozen"},
                              {"spring", "wet", "a light jacket", "rain {falls|fell} on the young leaves"},
                              {"spring", "green", "a light jacket", "the first flowers {open|opened}"},
                              {"summer", "bright", "a straw hat", "the sun {burns|burned} on the road"},
                              {"summer", "golden", "a straw hat", "the bees {fly|flew} over the grass"},
                              {"autumn", "misty", "a wool scarf", "fog {lies|lay} over the valley"},
                              {"autumn", "gray", "a wool scarf", "the apples {are|were} ripe"}};

constexpr Row<5> people[] = {{"Anna", "she", "She", "her", "hers"}, {"Anna", "she", "She", "her", "her"},
                             {"Clara", "she", "She", "her", "her"}, {"Julia", "she", "She", "her", "her"},
                             {"Ruth", "she", "She", "her", "her"},  {"Adam", "he", "He", "him", "his"},
                             {"Henry", "he", "He", "him", "his"},   {"Peter", "he", "He", "him", "his"},
                             {"Tom", "he", "He", "him", "his"}};
constexpr Row<5> second_person = {"Tom", "he", "He", "him", "his"};

constexpr const char* hours[] = {"morning", "afternoon", "evening"};
constexpr const char* amounts[] = {"more", "the last", "the finest", "some", "the best"};
// What stands between subject and verb doesn't tell whether the subject is one or many.
constexpr const char* links[] = {"with the old dog",      "with the two brothers", "near the stone bridges",
                                 "from the next village", "behind the tall trees", "among the quiet hills"};

constexpr const char* opening =
    "It {is|was} a {cold} {winter} {morning}, and {snow falls}. {Anna} {wears|wore} {a coat}.\n"
    "{Anna} {is|was} a {baker}, and {Tom} {is|was} a {miner}. {She} {bakes} {bread} {in the kitchen}. "
    "{He} {digs} {coal} {in the mine}.\n";
constexpr const char* about_work[] = {"The {baker} {near} {bakes} {more} {bread} {in the kitchen}.",
                                      "The {bakers} {near} {bake} {more} {bread} {in the kitchen}.",
                                      "The {miner} {near} {digs} {more} {coal} {in the mine}.",
                                      "The {miners} {near} {dig} {more} {coal} {in the mine}."};
constexpr const char* about_people[] = {
    "{Anna} {gives|gave} {Tom} some {bread}, and {he} {thanks|thanked} {her}.",
    "{Tom} {brings|brought} {coal} to {Anna}, and {she} {thanks|thanked} {him}.",
    "At night {Anna} and {Tom} {are|were} tired, but they {have|had} enough {coal}.",
    "Who {bakes} the {bread}? {Anna} {does|did}, and {she} {loves|loved} {hers} work.",
    "{Tom} {loves|loved} {his} work and {talks|talked} about {coal} with {Anna}."};

// Tense, season, people and trades are drawn once per scene.
class Scene {
 public:
  explicit Scene(Random& random) : random_(random), past_(random.below(2)) {
    draw(seasons, seasons[0]);
    words_["morning"] = pick(hours);
    draw(people, people[0]);
    do draw(people, second_person);
    while (words_["Tom"] == words_["Anna"]);
    draw(trades, trades[0]);
    do draw(trades, second_trade);
    while (words_["miner"] == words_["baker"]);
  }

  std::string text() {
    std::string text = fill(opening);
    for (uint64_t lines = 2 + random_.below(2); lines > 0; --lines) {
      words_["near"] = pick(links);
      words_["more"] = pick(amounts);
      text += fill(pick(about_work)) + " ";
      text += fill(pick(about_people)) + "\n";
    }
    return text + "\n";
  }

 private:
  template <size_t count>
  const char* pick(const char* const (&list)[count]) {
    return list[random_.below(count)];
  }

  template <size_t columns, size_t rows>
  void draw(const Row<columns> (&table)[rows], const Row<columns>& keys) {
    const Row<columns>& row = table[1 + random_.below(rows - 1)];
    for (size_t i = 0; i < columns; ++i) words_[keys[i]] = row[i];
  }

  std::string fill(std::string_view pattern) const {
    std::string text;
    for (size_t open; (open = pattern.find('{')) != pattern.npos;) {
      size_t close = pattern.find('}');
      std::string_view key = pattern.substr(open + 1, close - open - 1);
      size_t bar = key.find('|');
      text += pattern.substr(0, open);
      if (bar == key.npos)
        text += fill(words_.at(key));
      else
        text += past_ ? key.substr(bar + 1) : key.substr(0, bar);
      pattern.remove_prefix(close + 1);
    }
    return text.append(pattern);
  }

  Random& random_;
  bool past_;
  std::map<std::string_view, std::string_view> words_;
};

}  // namespace

std::string default_text() {
  Random random(2018);
  std::string text;
  for (int i = 0; i < scenes; ++i) text += Scene(random).text();
  return text;
}

}  // namespace bertie
