// The files of a fuzzer, and what it does about broken promises. A fuzzer feeds arbitrary bytes to what reads
// them. An Error is a fine answer; anything else that isn't the promised result ends the program, and
// libFuzzer reports the input.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace bertie {

// The path of a file in memory that holds these bytes until the next call.
const std::string& input_file(const uint8_t* bytes, size_t size);

// A path to write to, the same each time, in a folder that goes when the program ends. The folder is in
// TMPDIR.
const std::string& output_file();
std::string output_bytes();  // what was written to it

// Ends the program, naming the line that calls, unless `kept`.
void promise(bool kept, const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace bertie
