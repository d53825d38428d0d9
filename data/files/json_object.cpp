#include "bertie/data/files/json_object.h"

#include <nlohmann/json.hpp>
#include <set>

#include "bertie/autograd/error.h"

namespace bertie {

nlohmann::json parse_json_object(const char* where, const std::string& what, std::string_view text,
                                 int max_depth) {
  std::vector<std::set<std::string>> open_objects;  // the keys seen in each
  auto check_structure = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    BERTIE_CHECK(depth <= max_depth, where, "{} must be nested at most {} levels deep", what, max_depth);
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key) {
      std::string key = parsed.get<std::string>();
      BERTIE_CHECK(open_objects.back().insert(key).second, where, "{} has the key '{}' twice", what, key);
    }
    return true;
  };
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text, check_structure);
  } catch (const nlohmann::json::parse_error& error) {
    fail(where, "{} must be valid JSON, its byte {} breaks it", what, error.byte);
  } catch (const nlohmann::json::out_of_range&) {
    fail(where, "{} holds a number out of range", what);
  }
  BERTIE_CHECK(json.is_object(), where, "{} must be a JSON object", what);
  return json;
}

}  // namespace bertie
