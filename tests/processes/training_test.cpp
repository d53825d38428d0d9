// Training in several processes comes to the same bits as in one: each process also does it alone, and
// compares.
#include "bertie/nn/training.h"

#include <gmock/gmock.h>

#include "bertie/autograd/memory.h"
#include "bertie/nn/gradient_exchange.h"
#include "bertie/nn/initializer.h"
#include "bertie/nn/muon.h"
#include "tests/message_of.h"
#include "tests/nn/classifier.h"
#include "tests/processes/everyone.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

using testing::HasSubstr;

TEST(PartsOfProcesses, AreConsecutiveAndEven) {
  EXPECT_EQ(parts_of_processes(4, 1), (std::vector<PartRange>{{0, 4}}));
  EXPECT_EQ(parts_of_processes(4, 3), (std::vector<PartRange>{{0, 1}, {1, 2}, {2, 4}}));
  EXPECT_EQ(parts_of_processes(7, 4), (std::vector<PartRange>{{0, 1}, {1, 3}, {3, 5}, {5, 7}}));
  EXPECT_THAT(message_of([] { parts_of_processes(3, 4); }),
              HasSubstr("3 parts of a step can't be divided among 4"));
}

// Of the first layer alone where the part is odd, and none of every third part: of four processes with four
// parts one has nothing.
Tensor loss_of(const TwoLayers& model, DType type, int64_t part) {
  if (part % 3 == 1) return {};
  Random random(static_cast<uint64_t>(part) + 1);
  Array x = Array::empty({3, 3}, DType::f64);
  for (int64_t i = 0; i < x.size(); ++i) x.mutable_data<double>()[i] = random.normal();
  Tensor input(x.cast(type));
  return sum(part % 2 == 1 ? model.first.forward(input) : model.forward(input));
}

template <class T>
void expect_same_gradients(DType type, int64_t parts, int64_t bucket_bytes) {
  SCOPED_TRACE(fmt::format("{} parts, buckets of {} bytes, {}", parts, bucket_bytes, name(type)));
  TwoLayers model(Initializer::fan_in(1, type), 3, 37, 5, 0);
  ParameterBlock parameters(model);
  PartTree tree(parts);
  std::vector<T> alone;
  {
    PartGradients gradients(parameters);
    gradients.begin(tree);
    for (int64_t part = 0; part < parts; ++part) gradients.add(part, loss_of(model, type, part));
    parameters.check_reached("alone");
    alone = parameters.gradients().to_vector<T>();
  }
  PartGradients gradients(parameters);
  GradientExchange exchange(everyone(), parameters, bucket_bytes);
  PartRange own = parts_of_processes(parts, everyone().count())[everyone().rank()];
  for (int step = 0; step < 3; ++step) {
    gradients.begin(tree);
    exchange.begin(tree, gradients);
    for (int64_t part = own.begin; part < own.end; ++part) {
      BackwardHooks hooks;
      if (part + 1 == own.end)
        hooks.on_final_gradient = [&](const Tensor& parameter) { exchange.is_final(parameter); };
      gradients.add(part, loss_of(model, type, part), hooks);
    }
    gradients.complete(exchange.finish());
    parameters.check_reached("together");
    EXPECT_EQ(parameters.gradients().to_vector<T>(), alone);
  }
}

TEST(GradientExchange, AddsUpAsOneProcessDoes) {
  for (int64_t parts = everyone().count(); parts <= 9; ++parts)
    for (int64_t bucket_bytes : {64, 1000, 1 << 20}) {
      expect_same_gradients<float>(DType::f32, parts, bucket_bytes);
      expect_same_gradients<double>(DType::f64, parts, bucket_bytes);
    }
}

TEST(GradientExchange, TellsWhatNoLossReached) {
  TwoLayers model(Initializer::fan_in(1), 3, 4, 2, 0);
  ParameterBlock parameters(model);
  PartGradients gradients(parameters);
  GradientExchange exchange(everyone(), parameters);
  int64_t parts = everyone().count();
  gradients.begin(PartTree(parts));
  exchange.begin(PartTree(parts), gradients);
  gradients.add(everyone().rank(), sum(model.first.forward(Tensor(Array::full({2, 3}, 1, DType::f32)))));
  gradients.complete(exchange.finish());
  EXPECT_THAT(message_of([&] { parameters.check_reached("train"); }), HasSubstr("second.weight"));
}

struct TrainedRun {
  std::vector<float> weights;
  std::vector<double> losses;
  int64_t steps = 0;
};

TrainedRun run_of(Processes* processes, const std::function<bool(const StepReport&)>& after_step,
                  Checkpoints* checkpoints) {
  Classifier model;
  ParameterBlock parameters(model);
  Adam optimizer(parameters, {});
  Spirals spirals(model, {{5, 4, 6, 3}, {1, 7, 2, 9, 2}, {3, 3, 3, 1, 1, 1, 4}});
  TrainedRun run;
  TrainingOptions options{
      .steps = 30, .schedule = {.peak = 0.02}, .checkpoints = checkpoints, .processes = processes};
  run.steps = train(parameters, optimizer, options, spirals, [&](const StepReport& step) {
    run.losses.push_back(step.loss);
    return after_step(step);
  });
  run.weights = parameters.values().to_vector<float>();
  return run;
}

bool go_on(const StepReport&) { return true; }

TEST(TrainingTogether, HasTheBitsOfTrainingAlone) {
  TrainedRun alone = run_of(nullptr, go_on, nullptr), together = run_of(&everyone(), go_on, nullptr);
  EXPECT_EQ(together.steps, 30);
  EXPECT_EQ(together.losses, alone.losses);
  EXPECT_EQ(together.weights, alone.weights);
}

TEST(TrainingTogether, EndsWhereOneWantsIt) {
  int last = everyone().count() - 1;
  TrainedRun run = run_of(
      &everyone(), [&](const StepReport& step) { return step.step < 11 || everyone().rank() != last; },
      nullptr);
  EXPECT_EQ(run.steps, 12);
}

TEST(TrainingTogether, IsSavedByTheFirst) {
  TemporaryFolder folder;
  CheckpointOptions options{.folder = folder / "checkpoints", .every_steps = 10};
  Checkpoints checkpoints(options);
  TrainedRun run = run_of(&everyone(), go_on, everyone().is_first() ? &checkpoints : nullptr);
  EXPECT_EQ(run.steps, 30);
  EXPECT_EQ(Checkpoints::any_in(folder / "checkpoints"), everyone().is_first());
  EXPECT_EQ(checkpoints.saved_steps().has_value(), everyone().is_first());
}

// Its loss is no number in one part of step 3.
class Broken : public Spirals {
 public:
  explicit Broken(const Classifier& model) : Spirals(model, {{2, 2, 2, 2}}), model_(model) {}
  int64_t begin_step(int64_t step) override {
    step_ = step;
    return Spirals::begin_step(step);
  }
  Tensor loss(int64_t part) override {
    Tensor loss = Spirals::loss(part);
    return step_ == 3 && part == 2 ? scale(loss, NAN) : std::move(loss);
  }
  std::string data_of(int64_t part) const override { return fmt::format("data {}", part); }

 private:
  const Classifier& model_;
  int64_t step_ = 0;
};

TEST(TrainingTogether, FailsTogether) {
  Classifier model;
  ParameterBlock parameters(model);
  Adam optimizer(parameters, {});
  Broken broken(model);
  TrainingOptions options{.steps = 10, .schedule = {.peak = 0.02}, .processes = &everyone()};
  try {
    train(parameters, optimizer, options, broken, go_on);
    ADD_FAILURE() << "trains on";
  } catch (const SharedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the loss of step 3, part 3 of 4, is nan (data 2)"));
  } catch (const Error& error) {  // of this process alone
    EXPECT_EQ(everyone().count(), 1);
  }
  EXPECT_THAT(everyone().gather("goes on"), testing::Each("goes on"));
}

// Five matrices alike, one on its own, and no matrix.
struct ManyMatrices : Module {
  ManyMatrices() {
    for (uint64_t i = 0; i < 5; ++i)
      add_parameter("alike" + std::to_string(i), normal({6, 4}, 0, 1, 5, i, DType::f32));
    add_parameter("alone", normal({3, 9}, 0, 1, 5, 5, DType::f32));
    add_parameter("bias", normal({7}, 0, 1, 5, 6, DType::f32));
  }
};

TEST(MuonInProcesses, StepsAsOneProcessDoes) {
  std::vector<float> alone;
  for (Processes* processes : {&this_process(), &everyone()}) {
    ManyMatrices model;
    ParameterBlock block(model);
    Muon optimizer(block, model, {.rest = {.weight_decay = 0.1}}, *processes);
    for (int step = 0; step < 3; ++step) {
      for (ParameterBlock::Segment segment : block.segments()) {
        segment.parameter.tensor.zero_grad();
        backward(sum(segment.parameter.tensor * segment.parameter.tensor));
      }
      optimizer.step(0.01);
    }
    std::vector<float> values = block.values().to_vector<float>();
    if (alone.empty()) alone = values;
    EXPECT_EQ(values, alone);
  }
}

struct SevenAlike : Module {
  SevenAlike() {
    for (uint64_t i = 0; i < 7; ++i)
      add_parameter("alike" + std::to_string(i), normal({90, 70}, 0, 1, 5, i, DType::f32));
  }
};

// The process that has most of them takes what is foretold.
TEST(MuonInProcesses, TakeTheMemoryThatIsForetold) {
  SevenAlike model;
  ParameterBlock block(model);
  Muon optimizer(block, model, {.products = DType::f32}, everyone());
  for (const Parameter& parameter : model.parameters()) backward(sum(parameter.tensor * parameter.tensor));
  optimizer.step(0.01);
  int64_t before = memory_counters().live_bytes;
  reset_peak();
  optimizer.step(0.01);
  int64_t taken = memory_counters().peak_bytes - before;
  int64_t foretold = muon_memory(90, 70, 7, DType::f32, everyone().count());
  EXPECT_LE(taken, foretold * 101 / 100);
  EXPECT_TRUE(everyone().any(taken >= foretold * 99 / 100));
}

}  // namespace
}  // namespace bertie
