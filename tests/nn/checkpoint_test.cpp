// Which checkpoints are kept, and what happens where one can't be used.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "bertie/data/files/mapped_file.h"
#include "bertie/nn/checkpoint.h"
#include "tests/message_of.h"
#include "tests/nn/small_models.h"
#include "tests/temporary_folder.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

struct Counter : LossOfStep {
  Counter() : LossOfStep([](int64_t) { return Tensor(); }) {}
  std::string state() const override { return text; }
  void restore(const std::string& state) override { text = state; }
  std::string text = "at the beginning";
};

class CheckpointTest : public testing::Test {
 protected:
  CheckpointOptions with(const std::string& configuration = "") {
    return {.folder = folder_ / "checkpoints",
            .configuration = configuration,
            .tell = [this](const std::string& text) { told_.push_back(text); }};
  }
  // Saves weights that tell which step they are of.
  void save(Checkpoints& checkpoints, int64_t steps, std::optional<double> score = {}) {
    block_.values().mutable_data<double>()[0] = static_cast<double>(steps);
    optimizer_.continue_from(steps);
    objective_.text = "after " + std::to_string(steps);
    if (score) checkpoints.scored(*score);
    checkpoints.save(block_, optimizer_, objective_, {steps, 0.1 * static_cast<double>(steps)});
  }
  std::string path(const std::string& step) const {
    return folder_ / "checkpoints/step-0000000" + step + ".safetensors";
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_ / "checkpoints"))
      all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }
  static std::vector<std::string> files(const std::vector<std::string>& steps) {
    std::vector<std::string> all;
    for (const std::string& step : steps) all.push_back("step-0000000" + step + ".safetensors");
    return all;
  }
  // The step of the newest, by its position and its contents.
  int64_t latest_step() {
    Checkpoints checkpoints(with());
    std::optional<Checkpoint> latest = checkpoints.latest();
    if (!latest) return -1;
    EXPECT_EQ(checkpoints.restore(*latest, block_, optimizer_, objective_).steps, latest->position.steps);
    EXPECT_EQ(block_.values().item(0), static_cast<double>(latest->position.steps));
    EXPECT_EQ(optimizer_.steps_done(), latest->position.steps);
    EXPECT_EQ(objective_.text, "after " + std::to_string(latest->position.steps));
    return latest->position.steps;
  }

  TemporaryFolder folder_;
  TwoParameters model_;
  ParameterBlock block_{model_};
  AdamW optimizer_{block_, {}};
  Counter objective_;
  std::vector<std::string> told_;
};

TEST_F(CheckpointTest, GivesBackWhatWasSaved) {
  Checkpoints checkpoints(with("settings"));
  EXPECT_FALSE(checkpoints.latest());
  EXPECT_FALSE(checkpoints.saved_steps());
  block_.values().copy_from(Array::from(std::vector{1.5, -0.1}));
  optimizer_.state()[0].array.copy_from(Array::from(std::vector{3.25, 1e-300}));
  optimizer_.state()[1].array.copy_from(Array::from(std::vector{0.3, 7.0}));
  optimizer_.continue_from(41);
  objective_.text = R"({"place": "übermorgen"})";
  checkpoints.scored(0.1 + 0.2);
  checkpoints.save(block_, optimizer_, objective_, {42, 1.0 / 3});
  EXPECT_EQ(checkpoints.saved_steps(), 42);
  EXPECT_EQ(Checkpoints::newest_configuration(folder_ / "checkpoints"), "settings");

  TwoParameters model;
  ParameterBlock block(model);
  AdamW optimizer(block, {});
  Counter objective;
  Checkpoints others(with("settings"));
  std::optional<Checkpoint> latest = others.latest();
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->configuration, "settings");
  EXPECT_EQ(latest->score, 0.1 + 0.2);
  TrainingPosition position = others.restore(*latest, block, optimizer, objective);
  EXPECT_EQ(position.steps, 42);
  EXPECT_EQ(position.seconds, 1.0 / 3);
  EXPECT_EQ(others.saved_steps(), 42);
  EXPECT_EQ(block.values().to_vector<double>(), (std::vector{1.5, -0.1}));
  EXPECT_EQ(optimizer.state()[0].array.to_vector<double>(), (std::vector{3.25, 1e-300}));
  EXPECT_EQ(optimizer.state()[1].array.to_vector<double>(), (std::vector{0.3, 7.0}));
  EXPECT_EQ(optimizer.steps_done(), 41);
  EXPECT_EQ(objective.text, objective_.text);
  EXPECT_EQ(told_, std::vector<std::string>());
}

TEST_F(CheckpointTest, KeepsTheNewestTwoAndTheBest) {
  Checkpoints checkpoints(with());
  save(checkpoints, 1);
  EXPECT_EQ(names(), files({"01"}));
  EXPECT_FALSE(checkpoints.best());
  save(checkpoints, 2, 0.5);
  save(checkpoints, 3);
  EXPECT_EQ(names(), files({"02", "03"}));
  save(checkpoints, 4, 0.7);  // not the best
  save(checkpoints, 5);
  EXPECT_EQ(names(), files({"02", "04", "05"}));
  EXPECT_EQ(checkpoints.best(), path("02"));
  save(checkpoints, 6, 0.4);
  EXPECT_EQ(names(), files({"05", "06"}));
  EXPECT_EQ(checkpoints.best(), path("06"));
  save(checkpoints, 7, NAN);
  save(checkpoints, 8);
  save(checkpoints, 9);
  EXPECT_EQ(names(), files({"06", "08", "09"}));
  // A resumed run knows which one is the best.
  Checkpoints resumed(with());
  resumed.restore(*resumed.latest(), block_, optimizer_, objective_);
  EXPECT_EQ(resumed.best(), path("06"));
  save(resumed, 10, 0.45);
  save(resumed, 11);
  EXPECT_EQ(names(), files({"06", "10", "11"}));
  resumed.remove_all();
  EXPECT_TRUE(names().empty());
  EXPECT_FALSE(resumed.latest());
  EXPECT_FALSE(resumed.best());
}

TEST_F(CheckpointTest, IsDueByStepsTimeAndScore) {
  CheckpointOptions options = with();
  options.every_steps = 3;
  options.every_seconds = 20;
  Checkpoints checkpoints(options);
  EXPECT_FALSE(checkpoints.due({1, 19.9}));
  EXPECT_TRUE(checkpoints.due({1, 20}));
  EXPECT_TRUE(checkpoints.due({3, 1}));
  checkpoints.save(block_, optimizer_, objective_, {5, 15});
  EXPECT_FALSE(checkpoints.due({7, 34.9}));
  EXPECT_TRUE(checkpoints.due({7, 35}));
  checkpoints.scored(2);
  EXPECT_TRUE(checkpoints.due({7, 16}));
  checkpoints.save(block_, optimizer_, objective_, {7, 16});
  checkpoints.scored(2);  // as good as the best
  EXPECT_FALSE(checkpoints.due({8, 17}));
  // A resumed run's next is as long after its last as anybody's.
  Checkpoints resumed(options);
  resumed.restore(*resumed.latest(), block_, optimizer_, objective_);
  EXPECT_FALSE(resumed.due({8, 35.9}));
  EXPECT_TRUE(resumed.due({8, 36}));
  options.every_steps = 0;
  options.every_seconds = 0;
  EXPECT_FALSE(Checkpoints(options).due({3, 1e9}));
  options.every_steps = -1;
  EXPECT_EQ(message_of([&] { Checkpoints{options}; }),
            "[checkpoints] can't be due every -1 steps or 0 seconds");
}

// Names that aren't a checkpoint's stay, and what a killed program left goes.
TEST_F(CheckpointTest, RemovesOnlyItsOwn) {
  Checkpoints checkpoints(with());
  save(checkpoints, 1);
  std::string folder = folder_ / "checkpoints/";
  std::vector<std::string> foreign{"step-1.safetensors",
                                   "step-0000000001.safetensors",
                                   "step-.safetensors",
                                   "step-000000001.safetensors.bak",
                                   "step--00000001.safetensors",
                                   "step-99999999999999999999.safetensors",
                                   "notes.txt",
                                   "step-000000003.safetensors.tmp-x"};
  for (const std::string& name : foreign) std::ofstream(folder + name) << "mine";
  std::ofstream(folder + "step-000000007.safetensors.tmp-12-0") << "half";
  for (int64_t steps : {2, 3, 4}) save(checkpoints, steps);
  for (const std::string& name : foreign) EXPECT_TRUE(fs::exists(folder + name)) << name;
  EXPECT_EQ(folder_.entries(), 1u);
  EXPECT_EQ(names().size(), foreign.size() + 2);
  EXPECT_EQ(latest_step(), 4);
  checkpoints.remove_all();
  EXPECT_EQ(names().size(), foreign.size());
  EXPECT_EQ(told_, std::vector<std::string>());
}

// A flipped bit anywhere is noticed, and so is each shorter length; then the one before serves.
TEST_F(CheckpointTest, UsesTheOneBeforeADamagedOne) {
  Checkpoints checkpoints(with());
  save(checkpoints, 1);
  save(checkpoints, 2, 0.5);
  EXPECT_EQ(latest_step(), 2);
  const std::string good = read_file(path("02"));
  ASSERT_GT(good.size(), 300u);
  auto expect_earlier = [&](const std::string& contents, const std::string& what) {
    std::ofstream(path("02"), std::ios::binary) << contents;
    told_.clear();
    Checkpoints reader(with());
    std::optional<Checkpoint> latest = reader.latest();
    ASSERT_TRUE(latest);
    ASSERT_EQ(latest->position.steps, 1) << what;
    ASSERT_EQ(told_.size(), 1u) << what;
    EXPECT_TRUE(told_[0].starts_with("a checkpoint can't be used: [")) << told_[0];
    EXPECT_NE(told_[0].find("step-000000002.safetensors"), std::string::npos) << told_[0];
  };
  for (size_t byte = 0; byte < good.size(); ++byte) {
    std::string flipped = good;
    flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << byte % 8));
    expect_earlier(flipped, "bit " + std::to_string(byte % 8) + " of byte " + std::to_string(byte));
  }
  for (size_t length = 0; length < good.size(); length += 7)
    expect_earlier(good.substr(0, length), std::to_string(length) + " bytes");
  std::string last = good;
  last.back() = static_cast<char>(last.back() ^ 1);
  expect_earlier(last, "the last bit");
  EXPECT_NE(told_[0].find("is damaged: its contents have the checksum"), std::string::npos) << told_[0];

  // It is forgotten by a run that goes on from the one before, be it earlier or later than its next.
  Checkpoints resumed(with());
  resumed.restore(*resumed.latest(), block_, optimizer_, objective_);
  save(resumed, 3);
  EXPECT_EQ(latest_step(), 3);
  std::ofstream(path("09")) << "not whole";
  told_.clear();
  EXPECT_EQ(latest_step(), 3);
  EXPECT_EQ(told_.size(), 1u);
  EXPECT_EQ(Checkpoints::newest_configuration(folder_ / "checkpoints"), with().configuration);
  save(resumed, 4);
  EXPECT_EQ(names(), files({"03", "04"}));
  for (const char* name : {"03", "04"}) std::ofstream(path(name)) << "not whole";
  told_.clear();
  EXPECT_EQ(latest_step(), -1);
  EXPECT_EQ(told_.size(), 2u);
  EXPECT_FALSE(Checkpoints::newest_configuration(folder_ / "checkpoints"));
}

TEST_F(CheckpointTest, NamesTheSettingsThatDiffer) {
  std::string configuration = R"({"steps": 10, "rate": 0.1, "model": {"width": 3}, "seed": 1})";
  Checkpoints checkpoints(with(configuration));
  save(checkpoints, 2);
  Array before = block_.values().clone();
  auto message = [&](const std::string& other) {
    Checkpoints others(with(other));
    return message_of([&] { others.restore(*others.latest(), block_, optimizer_, objective_); });
  };
  std::string begin = "[checkpoint] " + path("02") + " is of a run with other settings:\n  ";
  EXPECT_EQ(message(configuration), "no error");
  EXPECT_EQ(message(R"({"model": {"width": 3}, "rate": 0.1, "seed": 1, "steps": 10})"), "no error");
  block_.values().fill_zero();
  objective_.text = "as it was";
  EXPECT_EQ(message(R"({"steps": 20, "rate": 0.1, "model": {"width": 4}, "dropout": 0})"),
            begin +
                "dropout: not set there, 0 here\n  model: {\"width\":3} there, {\"width\":4} here\n  "
                "seed: 1 there, not set here\n  steps: 10 there, 20 here");
  EXPECT_EQ(message("no JSON"), begin + configuration + " there, no JSON here");
  EXPECT_EQ(block_.values().item(0), 0);
  EXPECT_EQ(objective_.text, "as it was");
}

TEST_F(CheckpointTest, RefusesAnotherModelOrOptimizer) {
  Checkpoints checkpoints(with());
  save(checkpoints, 2);
  Checkpoint checkpoint = *checkpoints.latest();
  auto message = [&](Module& model, bool adam) {
    ParameterBlock block(model);
    AdamW adamw(block, {});
    SGD sgd(block, 0.5);
    return message_of([&] {
      checkpoints.restore(checkpoint, block, adam ? static_cast<Optimizer&>(adamw) : sgd, objective_);
    });
  };
  TwoParameters same;
  TwoLayers larger;
  EXPECT_EQ(message(same, true), "no error");
  EXPECT_EQ(message(same, false),
            "[checkpoint] " + path("02") + " has 3 arrays, the model and its optimizer have 2");
  EXPECT_EQ(message(larger, true),
            "[checkpoint] " + path("02") + ": 'first_moment' must be f64 [26], but is f64 [2]");
}

TEST_F(CheckpointTest, SaysWhereItCannotLook) {
  std::ofstream(folder_ / "checkpoints") << "a file";
  EXPECT_EQ(message_of([&] { Checkpoints(with()).latest(); }),
            "[checkpoints] can't read the folder " + (folder_ / "checkpoints") + ": Not a directory");
}

TEST_F(CheckpointTest, RefusesOtherFiles) {
  std::string file = folder_ / "a.safetensors";
  write_safetensors(file, {{"weights", block_.values()}}, {});
  EXPECT_EQ(message_of([&] { read_checkpoint(file); }),
            "[checkpoint] " + file + ": must have 'format' in its metadata");
  write_safetensors(file, {{"weights", block_.values()}});
  EXPECT_EQ(message_of([&] { read_checkpoint(file); }),
            "[checkpoint] " + file + ": must be a 'bertie checkpoint 1', its format is 'pt'");
  EXPECT_NE(message_of([&] { read_checkpoint(folder_ / "none"); }), "no error");
}

}  // namespace
}  // namespace bertie
