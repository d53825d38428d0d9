#include "apps/console/options.h"

#include <gtest/gtest.h>

#include <sstream>

namespace bertie {
namespace {

// What the validator makes of a text; its complaint in angle brackets.
std::string made(const CLI::Validator& validator, std::string text) {
  std::string problem = validator(text);
  return problem.empty() ? text : "<" + problem + ">";
}

TEST(Options, WholeNumbersMayHaveAnExponent) {
  CLI::Validator range = integer_in(-5, 2'000'000);
  EXPECT_EQ(made(range, "7"), "7");
  EXPECT_EQ(made(range, "010"), "10");  // CLI11 takes it for an octal number
  EXPECT_EQ(made(range, "1e3"), "1000");
  EXPECT_EQ(made(range, "5k"), "5000");
  EXPECT_EQ(made(range, "1.5M"), "1500000");
  EXPECT_EQ(made(integer_in(0, int64_t{1} << 50), "2G"), "2000000000");
  EXPECT_EQ(made(range, "k"), "<k is not a whole number in -5 ... 2000000>");
  EXPECT_EQ(made(range, "1kk"), "<1kk is not a whole number in -5 ... 2000000>");
  EXPECT_EQ(made(range, "1.5e6"), "1500000");
  EXPECT_EQ(made(range, "-5"), "-5");
  for (const char* wrong :
       {"", " ", "many", "1.5", "-6", "2000001", "1e7", "nan", "inf", "1e", "7x", "99999999999999999999"})
    EXPECT_EQ(made(range, wrong), "<" + std::string(wrong) + " is not a whole number in -5 ... 2000000>");
  EXPECT_EQ(made(integer_in(0, int64_t{1} << 62), "4611686018427387903"), "4611686018427387903");
  EXPECT_EQ(made(integer_in(0, int64_t{1} << 62), "-1"), "<-1 is not a whole number in 0 ... 2^62>");
}

TEST(Options, TimesHaveAUnit) {
  CLI::Validator range = duration_in(1, 1e6);
  EXPECT_EQ(made(range, "30s"), "30");
  EXPECT_EQ(made(range, "1.5m"), "90");
  EXPECT_EQ(made(range, "8h"), "28800");
  EXPECT_EQ(made(range, "2d"), "172800");
  for (const char* wrong : {"", "30", "s", "0.5s", "12d", "1y", "nans", "-3h"})
    EXPECT_EQ(made(range, wrong),
              "<" + std::string(wrong) + " is not a time of at least 1 s, as 30s, 90m, 8h or 2d>");
}

TEST(Options, WordsAreQuotedForAShell) {
  EXPECT_EQ(shell_word("./train"), "./train");
  EXPECT_EQ(shell_word("my model"), "'my model'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("$HOME"), "'$HOME'");
}

TEST(Options, NumbersAreWithinTheirRange) {
  CLI::Validator range = number_in(0, 1);
  EXPECT_EQ(made(range, "1e-3"), "1e-3");
  for (const char* wrong : {"nan", "inf", "-0.1", "1.1", "x"})
    EXPECT_EQ(made(range, wrong), "<" + std::string(wrong) + " is not a number in 0 ... 1>");
}

TEST(Options, TheNearestName) {
  std::vector<std::string> names{"--corpus", "--config", "--vocab", "--vocab-size", "--help", "-h"};
  auto nearest = [&](const char* typed) { return nearest_name(typed, names).value_or("none"); };
  EXPECT_EQ(nearest("--corups"), "--corpus");
  EXPECT_EQ(nearest("--copus"), "--corpus");
  EXPECT_EQ(nearest("-corpus"), "--corpus");
  EXPECT_EQ(nearest("--vocabsize"), "--vocab-size");
  EXPECT_EQ(nearest("--vocab_size"), "--vocab-size");
  EXPECT_EQ(nearest("--conf"), "--config");
  EXPECT_EQ(nearest("--something-else"), "none");
}

// A program like the others, with all that its help can show.
struct Example {
  CLI::App app{
      "Does this and that, and needs a sentence that is longer than a line of eighty columns to say it.\n\n"
      "  example --model my_bert --text x\n",
      "example"};
  std::string model, text, input, kind = "small";
  std::vector<std::string> files;
  int64_t steps = 3;
  bool flag = false;

  Example() {
    app.add_option("--model", model, "Model directory")->check(check_folder_name)->required();
    auto* group = app.add_option_group("text");
    group->add_option("--text", text, "One text");
    group->add_option("--input", input, "A file with a text in each line; '-' is standard input")
        ->check(check_file_name);
    group->require_option(1);
    app.add_option("--kind", kind, "Size")->check(CLI::IsMember({"small", "large"}))->capture_default_str();
    take_brackets(app.add_option("--files", files, "Files"))->check(check_file_name);
    app.add_option("--steps", steps, "How many")
        ->transform(integer_in(1, int64_t{1} << 62))
        ->capture_default_str();
    app.add_flag("--a-flag-of-a-long-name", flag, "Stands on a line of its own");
    app.footer("A footer.\n");
  }
  // The exit status, or none, and what was printed.
  std::pair<std::optional<int>, std::string> parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "example");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    std::optional<int> status =
        parse_options(app, static_cast<int>(arguments.size()), const_cast<char**>(arguments.data()));
    return {status, testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr()};
  }
};

TEST(Options, HelpFitsEightyColumns) {
  auto [status, help] = Example().parse({"--help"});
  EXPECT_EQ(status, 0);
  EXPECT_EQ(help, R"(Does this and that, and needs a sentence that is longer than a line of eighty
columns to say it.

  example --model my_bert --text x

Usage: example --model DIR (--text TEXT | --input FILE) [OPTIONS]

One of:
  --text TEXT             One text
  --input FILE            A file with a text in each line; '-' is standard input

Options:
  -h,--help               Print this help message and exit
  --model DIR             Model directory (required)
  --kind {small,large}    Size (default: small)
  --files FILE ...        Files
  --steps N               How many (default: 3)
  --a-flag-of-a-long-name
                          Stands on a line of its own

A footer.
)");
}

TEST(Options, AWrongNameIsTold) {
  auto said = [](std::vector<const char*> arguments) {
    auto [status, text] = Example().parse(std::move(arguments));
    EXPECT_EQ(status, 2);
    return text;
  };
  EXPECT_EQ(said({"--modle", "x"}),
            "example: there is no option --modle, did you mean --model? (--help tells more)\n");
  EXPECT_EQ(said({"--model", "x", "--stps=3"}),
            "example: there is no option --stps, did you mean --steps? (--help tells more)\n");
  EXPECT_EQ(said({"--model", "--text", "x"}),
            "example: --model needs a value; if '--text' is meant: '--model=--text' (--help tells more)\n");
  EXPECT_EQ(
      said({"--model", "x", "--text", "-foo"}),
      "example: there is no option -foo; --text needs a value; if '-foo' is meant: '--text=-foo' (--help "
      "tells more)\n");
  EXPECT_EQ(said({"--model", ""}), "example: --model: needs a name (--help tells more)\n");
}

TEST(Options, ValuesThatBeginWithADash) {
  for (const char* text : {"-", "-5 degrees", "- an item", "-- an item"}) {
    Example example;
    auto [status, said] = example.parse({"--model", "x", "--text", text});
    EXPECT_FALSE(status.has_value()) << said;
    EXPECT_EQ(example.text, text);
  }
  Example example;
  EXPECT_FALSE(example.parse({"--model", "x", "--text=-foo", "--steps", "2e3"}).first.has_value());
  EXPECT_EQ(example.text, "-foo");
  EXPECT_EQ(example.steps, 2000);
}

}  // namespace
}  // namespace bertie
