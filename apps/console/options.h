// How all programs read their options, with CLI11, and what their --help looks like.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace bertie {

// Parses the command line. Where the program is to go on there is no result; else it is the exit status: 0
// after --help or --version, which go to standard output, 2 for wrong usage, which a line on standard error
// tells. Throws where standard output can't be written.
std::optional<int> parse_options(CLI::App& app, int argc, char** argv);

// For CLI::Option::check(), of every name of a file or a folder and where else nothing can't be meant: an
// empty one is most likely an unset variable of a shell.
extern const CLI::Validator check_file_name, check_folder_name;

// For CLI::Option::transform(): a whole number in this range, which may be written as 1e3, or as 5k, 100M or
// 2G, thousands, millions and billions.
CLI::Validator integer_in(int64_t low, int64_t high);

// For CLI::Option::transform(): a time in this range, as 30s, 90m, 8h or 2d; becomes seconds.
CLI::Validator duration_in(double low_seconds, double high_seconds);

// For CLI::Option::check(): like CLI::Range, but NaN isn't within.
CLI::Validator number_in(double low, double high);

// Makes an option of several values take each as it is given. CLI11 takes '[UNK]' for a list of its own, of
// UNK.
CLI::Option* take_brackets(CLI::Option* option);

// A word of a command line, as a shell takes it: in quotes where it needs them.
std::string shell_word(std::string word);

// The one of the names that a mistyped one may have meant, or nothing where none is near.
std::optional<std::string> nearest_name(const std::string& mistyped, const std::vector<std::string>& names);

}  // namespace bertie
