// The one loop for everything that trains. It knows nothing of what is trained.
#pragma once
#include <exception>
#include <functional>

#include "bertie/autograd/backward.h"
#include "bertie/nn/checkpoint.h"
#include "bertie/nn/objective.h"
#include "bertie/nn/optimizer.h"
#include "bertie/nn/processes.h"
#include "bertie/nn/schedule.h"

namespace bertie {

double monotonic_seconds();  // of a clock that nobody sets, since some moment

struct TrainingOptions {
  // The run's length, from its first beginning on: a number of steps, or a time, of which the other stays 0.
  // The schedule follows the one that is given. Where that is time, evaluations and checkpoints take of it,
  // too; no step begins that would end after it, judged by the longest of the last ten; and so the same run
  // may come out differently on another day.
  int64_t steps = 0;
  double seconds = 0;
  Schedule schedule = {};
  double max_gradient_norm = 1;  // 0: gradients are not clipped

  // Where the run is saved, as it asks for and at the end of the run; nullptr: nowhere. What can't be saved
  // is told, and the run goes on.
  Checkpoints* checkpoints = nullptr;
  TrainingPosition start = {};  // of a run that is resumed: what Checkpoints::restore() returned
  std::function<double()> clock = monotonic_seconds;

  // Those that share the work: each computes some of a step's parts. All of them run train(), with the same
  // options but for the checkpoints, which the first one alone has, and with objectives that say the same of
  // each step. The first one's clock counts. nullptr: this one alone.
  Processes* processes = nullptr;
  // Gets what one of several processes fails with alone, while the others wait for its gradients: then all of
  // them end (Processes::end_all()).
  std::function<void(const std::exception&)> tell_failure = [](const std::exception&) {};
};

struct StepReport {
  int64_t step;  // 0, 1, …
  double loss;
  double learning_rate;
  double gradient_norm;  // before clipping
  int64_t parts;         // that the batch was cut into
  double seconds;        // of training at the step's end, those before a resume included
};

// For each step the objective begins it, then for each of its parts: loss; backward. The parts' gradients and
// losses are added up in the order of nn/part_tree.h. Then clip, update, and after_step, which ends the run
// by returning false. `hooks` watch the backward passes. Returns the number of steps done, those before a
// resume included.
//
// Several processes come to the same bits as one: which of them computes a part makes no difference.
// after_step is called by each, and ends the run of all where it returns false for one.
//
// Throws, naming the step, its part and data, when a loss or a gradient isn't finite: the weights are those
// of the step before, and nothing is saved. A SharedError, where there are several processes.
int64_t train(ParameterBlock& parameters, Optimizer& optimizer, const TrainingOptions& options,
              Objective& objective, const std::function<bool(const StepReport&)>& after_step,
              const BackwardHooks& hooks = {});

}  // namespace bertie
