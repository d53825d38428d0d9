#include "bertie/models/task_objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bertie/nn/part_gradients.h"
#include "tests/largest.h"
#include "tests/message_of.h"
#include "tests/models/finetuning_run.h"

namespace bertie {
namespace {

BertConfig config_of(const std::string& task, double dropout) {
  BertConfig config = FinetuningRun::config();
  FinetuningRun::configure(config, task);
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout;
  return config;
}

struct StepResult {
  int64_t parts;
  double loss;
  std::vector<double> gradients;
};
StepResult result_of(ParameterBlock& parameters, TaskObjective& objective, int64_t step) {
  StepResult result{objective.begin_step(step), 0, {}};
  PartGradients gradients(parameters);
  gradients.begin(PartTree(result.parts));
  for (int64_t part = 0; part < result.parts; ++part) {
    Tensor loss = objective.loss(part);
    if (loss) result.loss += loss.item();
    gradients.add(part, loss);
  }
  parameters.check_reached("test");
  result.gradients = parameters.gradients().cast(DType::f64).to_vector<double>();
  return result;
}

// Rounds f64 weights to f32, so that a model has the same ones in both.
void round_weights(ParameterBlock& parameters) {
  parameters.values().copy_from(parameters.values().cast(DType::f32).cast(parameters.dtype()));
}

// Dropout on, any number of parts, more than there are sequences, too, gives the loss and the gradients of
// the whole batch, which are those of the model's own mean; so does an epoch's last batch, which is smaller.
// In f32 parts are about as near to f64 as the whole is in the worst of the steps: in one it may come near by
// chance.
TEST(TaskObjective, PartsEqualTheWholeBatch) {
  for (const std::string& task : FinetuningRun::tasks()) {
    std::map<int64_t, std::vector<double>> exact_gradients;  // in f64, by step
    for (DType type : {DType::f64, DType::f32}) {
      FinetuningRun::with_model_of(task, [&]<class Model>(std::type_identity<Model>) {
        TaskSequences data = FinetuningRun::data(task);
        Model model(config_of(task, 0.2), Initializer::normal(0.3, 5, type));
        ParameterBlock parameters(model);
        round_weights(parameters);
        TaskObjective whole(model, data, {.batch_size = 8, .seed = 9});
        ASSERT_EQ(whole.steps_per_epoch(), 8);
        double allowed = type == DType::f64 ? 1e-12 : 1e-6, worst_whole = 0;
        std::map<int64_t, StepResult> wholes;
        for (int64_t step : {0, 7, 8}) {
          const StepResult& exact = wholes.emplace(step, result_of(parameters, whole, step)).first->second;
          ASSERT_EQ(exact.parts, 1);
          const TaskBatch& batch = whole.parts()[0];
          int64_t sequences = step == 7 ? 4 : 8;
          ASSERT_EQ(std::ssize(batch.tokens.sequences), sequences);
          BertInput input = bert_input(batch.tokens, 9, step);
          double own_mean =
              task_loss(model, task_logits(model, input), input.pass.packing, batch.labels, 0).item();
          EXPECT_NEAR(exact.loss, own_mean, allowed) << task;
          const std::vector<double>& gradients =
              exact_gradients.try_emplace(step, exact.gradients).first->second;
          worst_whole =
              std::max(worst_whole, largest_difference(exact.gradients, gradients) / largest(gradients));
        }
        EXPECT_LE(worst_whole, 1e-5);
        for (const auto& [step, exact] : wholes) {
          const std::vector<double>& gradients = exact_gradients.at(step);
          double scale = largest(gradients);
          double may_differ = type == DType::f64 ? 1e-12 * scale : 4 * worst_whole * scale;
          for (int64_t count : {2, 3, 8, 11}) {
            TaskObjective objective(model, data, {.batch_size = 8, .seed = 9, .parts = count});
            StepResult parts = result_of(parameters, objective, step);
            EXPECT_EQ(parts.parts, count);
            EXPECT_NEAR(parts.loss, exact.loss, allowed) << task;
            EXPECT_LE(largest_difference(parts.gradients, gradients), may_differ)
                << task << " in " << parts.parts << " parts";
          }
        }
      });
    }
  }
}

// Other steps drop other elements, and other seeds do: of a single sequence, which is every step's batch.
TEST(TaskObjective, DropoutFollowsSeedAndStep) {
  TaskSequences data;
  data.add(std::vector<int32_t>{2, 7, 8, 9, 3}, 5, 0);
  data.labels = Array::from(std::vector<int32_t>{-100, 0, 1, 2, -100});
  BertForTokenClassification model(config_of("tag", 0.3), Initializer::normal(0.3, 5));
  auto loss_of = [&](uint64_t seed, int64_t step) {
    TaskObjective objective(model, data, {.batch_size = 1, .seed = seed});
    objective.begin_step(step);
    return objective.loss(0).item();
  };
  EXPECT_EQ(loss_of(1, 0), loss_of(1, 0));
  EXPECT_GT(std::abs(loss_of(1, 0) - loss_of(1, 1)), 1e-4);
  EXPECT_GT(std::abs(loss_of(1, 0) - loss_of(2, 0)), 1e-4);
  model.eval();
  EXPECT_EQ(loss_of(1, 0), loss_of(2, 1));
}

TEST(TaskObjective, CountsTheLossesOfABatch) {
  EXPECT_EQ(losses_in(Array::from(std::vector<int32_t>{2, 0, 1})), 3);                   // classes
  EXPECT_EQ(losses_in(Array::from(std::vector<float>{1, 0, 1, 0, 0, 0}, {2, 3})), 6);    // several labels
  EXPECT_EQ(losses_in(Array::from(std::vector<float>{1.5, -2})), 2);                     // numbers
  EXPECT_EQ(losses_in(Array::from(std::vector<int32_t>{-100, 4, 0, -100, -100})), 2);    // tags
  EXPECT_EQ(losses_in(Array::from(std::vector<int32_t>{3, 4, 0, 0, 7, 7}, {3, 2})), 3);  // answers
}

// Nothing to learn from is no error, and no NaN: a part without tags beside others, a whole step without any,
// and all of the data.
TEST(TaskObjective, PartsAndStepsWithoutTags) {
  BertForTokenClassification model(config_of("tag", 0.1), Initializer::normal(0.3, 5));
  ParameterBlock parameters(model);
  TaskSequences data;
  for (int64_t n = 0; n < 2; ++n) data.add(std::vector<int32_t>{2, 7, 8, 3}, 4, n);
  data.labels = Array::from(std::vector<int32_t>{-100, -100, -100, -100, -100, 1, 2, -100});
  TaskObjective one(model, data, {.batch_size = 2, .seed = 1, .parts = 2});
  EXPECT_EQ(result_of(parameters, one, 0).parts, 2);
  TaskObjective both(model, data, {.batch_size = 2, .seed = 1});
  EXPECT_NEAR(result_of(parameters, one, 0).loss, result_of(parameters, both, 0).loss, 1e-6);

  data.labels = Array::from(std::vector<int32_t>(8, TaskSequences::ignored_label));
  StepResult nothing = result_of(parameters, both, 0);
  EXPECT_EQ(nothing.loss, 0);
  EXPECT_EQ(largest(nothing.gradients), 0);
  model.eval();
  EXPECT_EQ(mean_task_loss(model, data, predict_logits(model, data)), 0);
}

TEST(TaskObjective, NamesItsExamplesFromOneOn) {
  TaskSequences data = FinetuningRun::data("classify");
  BertForSequenceClassification model(config_of("classify", 0), Initializer::normal(0.3, 5));
  TaskObjective objective(model, data, {.batch_size = 9, .seed = 2});
  objective.begin_step(1);
  std::string expected;
  TaskSteps steps(60, 9, 2);
  for (int64_t sequence : steps.sequences(1).first(8))
    expected += (expected.empty() ? "examples " : ", ") + std::to_string(sequence + 1);
  EXPECT_EQ(objective.data_of(0), expected + ", …: 9 in all");
  TaskObjective single(model, data, {.batch_size = 1, .seed = 2});
  single.begin_step(3);
  TaskSteps singles(60, 1, 2);
  TaskObjective many(model, data, {.batch_size = 1, .seed = 2, .parts = 2});
  many.begin_step(3);
  EXPECT_EQ(many.data_of(0) + many.data_of(1), single.data_of(0));  // one of the two is empty
  EXPECT_EQ(single.data_of(0), fmt::format("examples {}", singles.sequences(3)[0] + 1));
}

TEST(TaskObjective, Refusals) {
  TaskSequences data = FinetuningRun::data("classify");
  BertForSequenceClassification model(config_of("classify", 0), Initializer::normal(0.3, 5));
  Array labels = data.labels;
  data.labels = {};
  EXPECT_EQ(message_of([&] { TaskObjective(model, data, {}); }), "[fine-tune] the data needs labels");
  EXPECT_EQ(message_of([&] { mean_task_loss(model, data, predict_logits(model, data)); }),
            "[fine-tune] the data needs labels");
  data.labels = labels;
  EXPECT_NE(message_of([&] { TaskObjective(model, data, {.batch_size = 0}); }), "no error");
  BertForQuestionAnswering reader(config_of("answer", 0), Initializer::normal(0.3, 5));
  TaskObjective wrong(reader, data, {});
  wrong.begin_step(0);
  EXPECT_EQ(message_of([&] { wrong.loss(0); }), "[loss] the labels of answers must be i32 [N, 2], got [32]");
}

// Whatever else is in a sequence's batch, and whatever order batches have, its logits are those that it has
// alone, and they come in the data's order.
TEST(PredictLogits, AreThoseOfEachSequenceAlone) {
  for (std::string task : {"classify", "tag", "answer"}) {
    for (DType type : {DType::f64, DType::f32}) {
      FinetuningRun::with_model_of(task, [&]<class Model>(std::type_identity<Model>) {
        TaskSequences data = FinetuningRun::data(task);
        Model model(config_of(task, 0.5), Initializer::normal(0.3, 5, type));
        model.eval();
        std::vector<double> alone;
        {
          NoGrad no_grad;
          for (int64_t n = 0; n < data.size(); ++n) {
            TaskBatch one = make_batch(data, std::vector<int64_t>{n});
            Tensor logits = task_logits(model, bert_input(one.tokens));
            for (double logit : logits.array().cast(DType::f64).template to_vector<double>())
              alone.push_back(logit);
          }
        }
        double allowed = (type == DType::f64 ? 1e-13 : 1e-6) * largest(alone);
        for (int64_t batch_tokens : {1, 20, 64, 4096}) {
          std::vector<int64_t> told;
          Array logits =
              predict_logits(model, data, batch_tokens, [&](int64_t done) { told.push_back(done); });
          EXPECT_EQ(logits.dtype(), type);
          EXPECT_EQ(logits.shape(),
                    (Shape{task == "classify" ? 60 : data.tokens(), task == "answer" ? 2 : 3}));
          EXPECT_LE(largest_difference(logits.cast(DType::f64).to_vector<double>(), alone), allowed)
              << task << ", " << batch_tokens;
          EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
          ASSERT_FALSE(told.empty());
          EXPECT_EQ(told.back(), 60);
          if (batch_tokens == 1) {
            EXPECT_EQ(told.size(), 60u);
          }
        }
      });
    }
  }
}

TEST(PredictLogits, OfNothingAreNone) {
  BertForSequenceClassification model(config_of("classify", 0), Initializer::normal(0.3, 5));
  model.eval();
  EXPECT_FALSE(predict_logits(model, TaskSequences()));
}

// That of one batch of all.
TEST(MeanTaskLoss, IsThatOfAStepOfAllOfTheData) {
  for (const std::string& task : FinetuningRun::tasks()) {
    FinetuningRun::with_model_of(task, [&]<class Model>(std::type_identity<Model>) {
      TaskSequences data = FinetuningRun::data(task);
      Model model(config_of(task, 0.5), Initializer::normal(0.3, 5, DType::f64));
      model.eval();
      TaskObjective objective(model, data, {.batch_size = 60});
      objective.begin_step(0);
      EXPECT_NEAR(mean_task_loss(model, data, predict_logits(model, data)), objective.loss(0).item(), 1e-12)
          << task;
    });
  }
}

}  // namespace
}  // namespace bertie
