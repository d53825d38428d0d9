#include "apps/console/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "apps/console/program.h"

namespace bertie {
namespace {

constexpr size_t help_columns = 80, name_columns = 26;

// A text in lines of at most so many columns, broken at spaces; a single word may be longer.
std::vector<std::string> wrap(const std::string& text, size_t columns) {
  std::vector<std::string> lines{""};
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    std::string& line = lines.back();
    if (line.empty())
      line = word;
    else if (line.size() + 1 + word.size() <= columns)
      line += " " + word;
    else
      lines.push_back(word);
  }
  return lines;
}

// Two columns: a name and what it is.
std::string entry(const std::string& name, const std::string& description) {
  std::string text = "  " + name;
  bool first = text.size() + 2 <= name_columns;  // beside the name
  if (!first) text += "\n";
  for (const std::string& line : wrap(description, help_columns - name_columns)) {
    text += std::string(first ? name_columns - text.size() : name_columns, ' ') + line + "\n";
    first = false;
  }
  return text;
}

// The options of an app, in its groups and subcommands, too.
void collect_options(const CLI::App& app, std::vector<const CLI::Option*>& options) {
  for (const CLI::Option* option : app.get_options()) options.push_back(option);
  for (const CLI::App* inner : app.get_subcommands({})) collect_options(*inner, options);
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// What the value of an option is: what its check says, or else its type; nothing for a flag.
std::string value_of(const CLI::Option& option) {
  if (!takes_value(option)) return "";
  std::string type = option.get_type_name();
  type = " " + type.substr(type.rfind(':') + 1);
  return option.get_expected_max() > 1 ? type + " ..." : type;
}

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const override {
    std::string help, usage = name, lists;
    std::istringstream lines(app->get_description());
    for (std::string line; std::getline(lines, line);)  // indented ones are examples
      for (const std::string& part : line.starts_with(" ") ? std::vector{line} : wrap(line, help_columns))
        help += part + "\n";

    for (const CLI::Option* option : app->get_options())
      if (option->get_required()) usage += " " + option->get_name() + value_of(*option);
    std::string commands;
    for (const CLI::App* inner : app->get_subcommands({})) {
      if (!inner->get_name().empty()) {
        commands += entry(inner->get_name(), inner->get_description());
        continue;
      }
      std::string choice;  // an option group: exactly one of them is required
      lists += "\nOne of:\n";
      for (const CLI::Option* option : inner->get_options()) {
        if (option == inner->get_help_ptr()) continue;
        choice += (choice.empty() ? "" : " | ") + option->get_name() + value_of(*option);
        lists += make_option(option, false);
      }
      usage += " (" + choice + ")";
    }
    if (!commands.empty()) lists += "\nCommands (each has its own --help):\n" + commands;
    lists += "\nOptions:\n";
    for (const CLI::Option* option : app->get_options()) lists += make_option(option, false);
    usage += commands.empty() ? " [OPTIONS]" : " COMMAND [OPTIONS]";
    std::string begin = "\nUsage: ";
    for (const std::string& line : wrap(usage, help_columns - 11)) {
      help += begin + line + "\n";
      begin = "           ";
    }
    help += lists;
    std::string footer = app->get_footer();
    return footer.empty() ? help : help + "\n" + footer;
  }

  std::string make_option(const CLI::Option* option, bool) const override {
    std::string description = option->get_description();
    if (option->get_required()) description += " (required)";
    if (std::string value = option->get_default_str(); !value.empty())
      description += " (default: " + value + ")";
    return entry(option->get_name(false, true) + value_of(*option), description);
  }
};

void use_formatter(CLI::App& app, const std::shared_ptr<CLI::FormatterBase>& formatter) {
  app.formatter(formatter);
  for (CLI::App* inner : app.get_subcommands([](CLI::App*) { return true; }))
    use_formatter(*inner, formatter);
}

// Throws where an argument looks like an option, as CLI11 sees it, and there is none of that name, or it
// stands where a value should. CLI11 would blame something else first, such as the value behind it, or take
// it for the value.
void check_names(const CLI::App& app, int argc, char** argv) {
  std::vector<const CLI::Option*> options;
  collect_options(app, options);
  std::vector<std::string> names, with_value;
  for (const CLI::Option* option : options) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
      if (takes_value(*option)) with_value.push_back("--" + name);
    }
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  auto has = [](const std::vector<std::string>& all, const std::string& name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  std::vector<std::string> commands;
  for (const CLI::App* inner : app.get_subcommands({}))
    if (!inner->get_name().empty()) commands.push_back(inner->get_name());
  if (argc > 1 && argv[1][0] != '-' && !commands.empty() && !has(commands, argv[1])) {
    auto meant = nearest_name(argv[1], commands);
    throw CLI::ExtrasError(
        fmt::format("there is no command {}{}", argv[1], meant ? ", did you mean " + *meant + "?" : ""),
        CLI::ExitCodes::ExtrasError);
  }
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i], before = argv[i - 1], name, rest;
    if (argument == "--") return;
    bool is_long = CLI::detail::split_long(argument, name, rest);
    bool is_short = !is_long && CLI::detail::split_short(argument, name, rest) && !std::isdigit(name[0]);
    if (!is_long && !is_short) continue;
    std::string problem;
    name = argument.substr(0, argument.find('='));
    if (!has(names, name)) {
      problem = "there is no option " + name;
      if (auto meant = nearest_name(name, names)) problem += ", did you mean " + *meant + "?";
    }
    if (has(with_value, before))
      problem += fmt::format("{}{} needs a value; if '{}' is meant: '{}={}'", problem.empty() ? "" : "; ",
                             before, argument, before, argument);
    if (!problem.empty()) throw CLI::ExtrasError(problem, CLI::ExitCodes::ExtrasError);
  }
}

std::string number_text(int64_t value) {
  for (int power = 40; power < 63; ++power)
    if (value == int64_t{1} << power) return fmt::format("2^{}", power);
  return fmt::format("{}", value);
}

// A number, perhaps with one of these letters behind it, which stands for a factor.
bool with_unit(std::string text, const std::vector<std::pair<char, double>>& units, double& value) {
  double factor = 1;
  for (auto [letter, of_letter] : units) {
    if (text.empty() || text.back() != letter) continue;
    text.pop_back();
    factor = of_letter;
    break;
  }
  if (!CLI::detail::lexical_cast(text, value)) return false;
  value *= factor;
  return true;
}

CLI::Validator needs_name(const char* kind) {
  return CLI::Validator([](std::string& name) { return name.empty() ? "needs a name" : ""; }, kind);
}

}  // namespace

const CLI::Validator check_file_name = needs_name("FILE"), check_folder_name = needs_name("DIR");

std::optional<int> parse_options(CLI::App& app, int argc, char** argv) {
  use_formatter(app, std::make_shared<HelpFormatter>());
  try {
    check_names(app, argc, argv);
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForVersion& version) {
    print_result(version.what());
    return 0;
  } catch (const CLI::CallForHelp&) {
    std::string help = app.help();
    help.pop_back();  // print_result() ends the line
    print_result(help);
    return 0;
  } catch (const CLI::ParseError& error) {
    tell_error_after_first(app.get_name(), std::string(error.what()) + " (--help tells more)");
    return 2;
  }
}

CLI::Validator integer_in(int64_t low, int64_t high) {
  return CLI::Validator(
      [=](std::string& text) {
        const char* end = text.data() + text.size();
        int64_t value = 0;
        auto [stop, problem] = std::from_chars(text.data(), end, value);
        bool whole = problem == std::errc() && stop == end;
        double real = 0;  // 1e3
        if (!whole && with_unit(text, {{'k', 1e3}, {'M', 1e6}, {'G', 1e9}}, real) &&
            std::abs(real) <= 0x1p53 && real == std::floor(real)) {
          value = static_cast<int64_t>(real);
          whole = true;
        }
        if (!whole || value < low || value > high)
          return fmt::format("{} is not a whole number in {} ... {}", text, number_text(low),
                             number_text(high));
        text = fmt::format("{}", value);
        return std::string();
      },
      "N");
}

CLI::Validator duration_in(double low_seconds, double high_seconds) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        bool valid = !text.empty() && std::isalpha(static_cast<unsigned char>(text.back())) &&
                     with_unit(text, {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}}, value) &&
                     value >= low_seconds && value <= high_seconds;
        if (!valid)
          return fmt::format("{} is not a time of at least {:g} s, as 30s, 90m, 8h or 2d", text, low_seconds);
        text = fmt::format("{}", value);
        return std::string();
      },
      "TIME");
}

CLI::Validator number_in(double low, double high) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        bool within = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
        return within ? std::string() : fmt::format("{} is not a number in {} ... {}", text, low, high);
      },
      "X");
}

CLI::Option* take_brackets(CLI::Option* option) {
  // Only an unlimited number of values has CLI11 look for brackets.
  return option->expected(1, 1 << 24)->allow_extra_args(false);
}

std::string shell_word(std::string word) {
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  for (size_t at = 0; (at = word.find('\'', at)) != std::string::npos; at += 4) word.replace(at, 1, "'\\''");
  return "'" + word + "'";
}

// By the least number of letters to insert, leave out or replace (Levenshtein); a beginning is near, too.
std::optional<std::string> nearest_name(const std::string& mistyped, const std::vector<std::string>& names) {
  std::optional<std::string> nearest;
  size_t least = std::max<size_t>(2, mistyped.size() / 4) + 1;
  for (const std::string& name : names) {
    std::vector<size_t> row(name.size() + 1);  // distances of a beginning of `mistyped` to those of `name`
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 0; i < mistyped.size(); ++i) {
      size_t diagonal = row[0]++;
      for (size_t j = 0; j < name.size(); ++j) {
        size_t replaced = diagonal + (mistyped[i] != name[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
      }
    }
    size_t distance = mistyped.size() > 3 && name.starts_with(mistyped) ? 1 : row.back();
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

}  // namespace bertie
