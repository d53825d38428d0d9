#include "bertie/nn/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <optional>

#include "bertie/nn/gradient_exchange.h"

namespace bertie {
namespace {

constexpr const char* advice = "a lower learning rate may help";

double without_sign_of_nan(double value) { return std::isnan(value) ? std::abs(value) : value; }

// " (lines 4 and 17, lines 2 and 9)", of all parts; empty where the objective doesn't tell.
std::string data_of(const Objective& objective, int64_t begin, int64_t end) {
  Listing data("; ");
  for (int64_t part = begin; part < end; ++part)
    if (std::string text = objective.data_of(part); !text.empty()) data.add(shown(text));
  return data.empty() ? "" : " (" + data.str().substr(2) + ")";
}

// The processes of a run, or this one alone.
class Team {
 public:
  Team(Processes* processes, ParameterBlock& parameters) {
    if (!processes || processes->count() == 1) return;
    processes_ = processes;
    exchange_.emplace(*processes, parameters);
  }

  // Computes this process's parts. Afterwards the sum of all parts' gradients is there. Returns the parts'
  // losses.
  std::vector<double> backward_step(Objective& objective, int64_t parts, PartGradients& gradients,
                                    const BackwardHooks& hooks);
  // What throws in this one alone ends all: the others wait for its gradients, and so does a thread of this
  // one, which an exception would have to wait for.
  void end_all_where_it_throws(const std::function<void()>& work,
                               const std::function<void(const std::exception&)>& tell) {
    if (!processes_) return work();
    try {
      work();
    } catch (const std::exception& error) {
      tell(error);
      processes_->end_all();
    }
  }
  // What the first one says.
  template <class T>
  T of_first(T mine) {
    return processes_ ? processes_->of_first(mine) : mine;
  }
  // Whether all say so.
  bool of_all(bool mine) { return processes_ ? !processes_->any(!mine) : mine; }
  void let_first(const std::function<void()>& work) { processes_ ? processes_->let_first(work) : work(); }
  // What throws in one throws in all.
  void check_together(const std::function<void()>& check) const {
    try {
      check();
    } catch (const Error& error) {
      if (processes_) throw SharedError(error.what());
      throw;
    }
  }

 private:
  Processes* processes_ = nullptr;
  std::optional<GradientExchange> exchange_;
};

std::vector<double> Team::backward_step(Objective& objective, int64_t parts, PartGradients& gradients,
                                        const BackwardHooks& hooks) {
  PartTree tree(parts);
  std::vector<PartRange> owned = parts_of_processes(parts, processes_ ? processes_->count() : 1);
  PartRange own = owned[processes_ ? processes_->rank() : 0];
  std::vector<double> losses(static_cast<size_t>(parts));
  gradients.begin(tree);
  if (exchange_) exchange_->begin(tree, gradients);
  for (int64_t part = own.begin; part < own.end; ++part) {
    Tensor loss = objective.loss(part);
    losses[part] = loss ? loss.item() : 0;
    if (!exchange_ && !std::isfinite(losses[part])) return losses;
    BackwardHooks sending = hooks;
    if (exchange_ && part + 1 == own.end)
      sending.on_final_gradient = [&](const Tensor& parameter) {
        exchange_->is_final(parameter);
        if (hooks.on_final_gradient) hooks.on_final_gradient(parameter);
      };
    gradients.add(part, loss, sending);
  }
  if (exchange_) {
    gradients.complete(exchange_->finish());
    std::vector<int64_t> sizes;
    for (const PartRange& range : owned) sizes.push_back(range.size() * static_cast<int64_t>(sizeof(double)));
    processes_->gather(std::as_writable_bytes(std::span(losses)), sizes);
  }
  return losses;
}

// In the order in which gradients are added up.
double sum_of(const std::vector<double>& losses) {
  PartSums order{PartTree(std::ssize(losses))};
  std::vector<double> sums(losses.size());
  for (int64_t part = 0; part < std::ssize(losses); ++part) {
    PartSums::Place to = order.next(part);
    sums[to.place] = to.adds ? sums[to.place] + losses[part] : losses[part];
    for (int64_t place = to.place; place > to.place - to.merges; --place) sums[place - 1] += sums[place];
  }
  return sums[0];
}

// How long the last steps took.
class RecentSteps {
 public:
  void add(double seconds) {
    seconds_.push_back(seconds);
    if (seconds_.size() > 10) seconds_.pop_front();
  }
  double longest() const {
    return seconds_.empty() ? 0 : *std::max_element(seconds_.begin(), seconds_.end());
  }

 private:
  std::deque<double> seconds_;
};

}  // namespace

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int64_t train(ParameterBlock& parameters, Optimizer& optimizer, const TrainingOptions& options,
              Objective& objective, const std::function<bool(const StepReport&)>& after_step,
              const BackwardHooks& hooks) {
  BERTIE_CHECK(options.steps >= 0 && options.seconds >= 0 && (options.steps > 0) != (options.seconds > 0),
               "train", "a run must be of either steps or seconds, got {} and {}", options.steps,
               options.seconds);
  PartGradients gradients(parameters);
  Team team(options.processes, parameters);
  bool timed = options.seconds > 0;
  double clock_at_start = options.clock();
  auto elapsed = [&] { return options.start.seconds + (options.clock() - clock_at_start); };
  RecentSteps recent;
  int64_t step = options.start.steps;
  Checkpoints* checkpoints = options.checkpoints;
  int64_t tried = -1;  // to save this step, perhaps in vain
  auto save_where_due = [&](bool due) {
    if (!team.of_first(due)) return;
    tried = step;
    team.let_first([&] {
      // A square that overflowed in the optimizer shows here only.
      BERTIE_CHECK(std::isfinite(parameters.value_norm()), "train",
                   "the weights aren't finite after step {}: {}", step - 1, advice);
      checkpoints->save(parameters, optimizer, objective, {step, elapsed()});
    });
  };
  bool goes_on = true;
  while (goes_on) {
    double begin = elapsed();
    if (timed) begin = team.of_first(begin);
    if (timed ? begin >= options.seconds || begin + recent.longest() > options.seconds
              : step >= options.steps)
      break;
    int64_t parts = objective.begin_step(step);
    BERTIE_CHECK(parts >= 1, "train", "a step must have a part, step {} has {}", step, parts);
    std::vector<double> losses;
    team.end_all_where_it_throws([&] { losses = team.backward_step(objective, parts, gradients, hooks); },
                                 options.tell_failure);
    double norm = 0;
    team.check_together([&] {
      for (int64_t part = 0; part < parts; ++part)
        BERTIE_CHECK(std::isfinite(losses[part]), "train", "the loss of step {}{} is {}{}: {}", step,
                     parts > 1 ? fmt::format(", part {} of {},", part + 1, parts) : "",
                     without_sign_of_nan(losses[part]), data_of(objective, part, part + 1), advice);
      norm = parameters.gradient_norm();
      BERTIE_CHECK(std::isfinite(norm), "train", "the gradient of step {} is {}{}: {}", step,
                   without_sign_of_nan(norm), data_of(objective, 0, parts), advice);
    });
    double scale = options.max_gradient_norm > 0 ? clip_factor(norm, options.max_gradient_norm) : 1;
    double rate = timed ? options.schedule.rate(begin, team.of_first(elapsed()), options.seconds)
                        : options.schedule.rate(step, step + 1, options.steps);
    team.check_together([&] { optimizer.step(rate, scale); });
    double end = team.of_first(elapsed());
    recent.add(end - begin);
    goes_on = team.of_all(after_step({step, sum_of(losses), rate, norm, parts, end}));
    ++step;
    save_where_due(checkpoints && checkpoints->due({step, elapsed()}));
  }
  save_where_due(checkpoints && checkpoints->saved_steps() != step && tried != step);
  return step;
}

}  // namespace bertie
