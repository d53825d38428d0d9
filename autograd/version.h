#pragma once

namespace bertie {

// The version of the library that the program runs with, "0.1.0": CMake's, which find_package(bertie)
// compares.
const char* version();

}  // namespace bertie
