#include "bertie/data/files/json_object.h"

#include <nlohmann/json.hpp>

#include "bertie/autograd/error.h"

namespace bertie {
namespace {

using Json = nlohmann::json;

// Receives the parts of a JSON text and puts them together. The library's own way to look on while it does
// so, a callback, goes through all siblings of an object at its end: 250 s for 4.5 MB.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(const char* where, const std::string& what, int max_depth)
      : where_(where), what_(what), max_depth_(max_depth) {}
  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t& value) override { return put(std::move(value)); }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    auto [place, is_new] = open_.back()->get_ref<Json::object_t&>().emplace(name, nullptr);
    BERTIE_CHECK(is_new, where_, "{} has the key '{}' twice", what_, name);
    of_key_ = &place->second;
    return true;
  }
  bool parse_error(size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    constexpr int number_out_of_range = 406;
    BERTIE_CHECK(error.id != number_out_of_range, where_, "{} holds a number out of range", what_);
    fail(where_, "{} must be valid JSON, its byte {} breaks it", what_, byte);
  }

 private:
  // Where the next value goes. Values that hold it don't move before it is complete.
  template <class Value>
  Json& place(Value&& value) {
    if (open_.empty()) return root_ = std::forward<Value>(value);
    if (open_.back()->is_object()) return *of_key_ = std::forward<Value>(value);
    return open_.back()->emplace_back(std::forward<Value>(value));
  }
  template <class Value>
  bool put(Value&& value) {
    place(std::forward<Value>(value));
    return true;
  }
  bool open(Json empty) {
    BERTIE_CHECK(static_cast<int>(open_.size()) < max_depth_, where_,
                 "{} must be nested at most {} levels deep", what_, max_depth_);
    open_.push_back(&place(std::move(empty)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const char* where_;
  const std::string& what_;
  int max_depth_;
  Json root_;
  std::vector<Json*> open_;  // objects and arrays, each within the one before
  Json* of_key_ = nullptr;   // the value of the last key
};

}  // namespace

Json parse_json_object(const char* where, const std::string& what, std::string_view text, int max_depth) {
  // The library takes a NUL for the end of the text.
  if (size_t nul = text.find('\0'); nul != std::string_view::npos)
    fail(where, "{} must be valid JSON, its byte {} breaks it", what, nul + 1);
  Builder builder(where, what, max_depth);
  Json::sax_parse(text, &builder);
  Json json = builder.take();
  BERTIE_CHECK(json.is_object(), where, "{} must be a JSON object", what);
  return json;
}

}  // namespace bertie
