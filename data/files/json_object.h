// JSON that anyone may have written. This header isn't installed, since nlohmann's JSON is no dependency of
// those who use bertie: include it in .cpp files only.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace bertie {

// Throws, as [where] and naming `what` is read, unless the text is one JSON object, nested at most
// `max_depth` levels deep (without a bound, dump() would overflow the stack), without repeated keys, and with
// numbers that a double can hold.
nlohmann::json parse_json_object(const char* where, const std::string& what, std::string_view text,
                                 int max_depth = 64);

}  // namespace bertie
