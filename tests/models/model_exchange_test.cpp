// A model's directory is the whole old model or the whole new one, whenever the program that saves is killed.
#include "bertie/models/model_exchange.h"

#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <set>

#include "bertie/data/files/atomic_file.h"
#include "tests/message_of.h"
#include "tests/models/names_in.h"
#include "tests/models/saved_model.h"

namespace bertie {
namespace {

namespace fs = std::filesystem;

void write_all(const std::string& directory, const std::vector<std::string>& names, const std::string& text) {
  for (const std::string& name : names) write_file_atomically(directory + "/" + name, text);
}

const std::vector<std::string> new_names{"model.safetensors", "vocab.txt", "tokenizer_config.json",
                                         "config.json"};
const std::vector<std::string> old_names{"config.json",
                                         "model-00001-of-00002.safetensors",
                                         "model-00002-of-00002.safetensors",
                                         "tokenizer.json",
                                         "metrics.jsonl",
                                         "report.html",
                                         "added_tokens.json",  // before config.json in the alphabet
                                         training_record};

class ModelExchangeTest : public testing::Test {
 protected:
  void write_old() {
    fs::remove_all(path_);
    fs::create_directory(path_);
    write_all(path_, old_names, "old");
    write_all(path_, {"notes.txt"}, "mine");
  }
  // That the directory holds `names`, all with that text, and what isn't a model's.
  void expect(const std::vector<std::string>& names, const std::string& text, const std::string& what) {
    std::set<std::string> expected(names.begin(), names.end());
    expected.insert("notes.txt");
    EXPECT_EQ(names_in(path_), expected) << what;
    for (const std::string& name : names) EXPECT_EQ(read_file(path_ + "/" + name), text) << name << what;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "model";
};

TEST_F(ModelExchangeTest, ReplacesAllAndOnlyTheModel) {
  write_old();
  ModelExchange exchange(path_);
  write_all(exchange.aside(), new_names, "new");
  exchange.take_places();
  expect(new_names, "new", "");
}

TEST_F(ModelExchangeTest, WithoutTakingPlacesNothingChanges) {
  write_old();
  { ModelExchange exchange(path_); }
  {
    ModelExchange exchange(path_);
    write_all(exchange.aside(), new_names, "new");
    finish_exchange(path_);  // by another program: this one is at work
    EXPECT_TRUE(fs::exists(exchange.aside()));
  }
  expect(old_names, "old", "");
}

// Every state in which a kill can leave the directory, in the order in which an exchange passes them.
TEST_F(ModelExchangeTest, EveryStateOnTheWayIsCompleted) {
  write_old();
  int events = inotify_init1(IN_NONBLOCK);
  ASSERT_GE(events, 0);
  ASSERT_GE(inotify_add_watch(events, path_.c_str(), IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO), 0);
  {
    ModelExchange exchange(path_);
    write_all(exchange.aside(), new_names, "new");
    exchange.take_places();
  }
  std::vector<std::string> gone, come;
  alignas(inotify_event) char buffer[16384];
  for (ssize_t size; (size = read(events, buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < size;) {
      auto* event = reinterpret_cast<inotify_event*>(buffer + at);
      if ((event->mask & IN_ISDIR) == 0) (event->mask & IN_DELETE ? gone : come).emplace_back(event->name);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  close(events);
  // Without config.json nobody loads the directory, and with the new one all of the new files are there.
  ASSERT_EQ(gone.size(), old_names.size());
  ASSERT_EQ(come.size(), new_names.size());
  EXPECT_EQ(gone.front(), "config.json");
  EXPECT_EQ(gone.back(), training_record);
  EXPECT_EQ(come.front(), "model.safetensors");
  EXPECT_EQ(come.back(), "config.json");

  for (size_t done = 0; done <= gone.size() + come.size(); ++done) {
    write_old();
    fs::create_directory(path_ + "/bertie-saved");
    write_all(path_ + "/bertie-saved", new_names, "new");
    for (size_t i = 0; i < done && i < gone.size(); ++i) fs::remove(path_ + "/" + gone[i]);
    for (size_t i = 0; i + gone.size() < done; ++i)
      fs::rename(path_ + "/bertie-saved/" + come[i], path_ + "/" + come[i]);
    finish_exchange(path_);
    expect(new_names, "new", fmt::format(" after {} steps", done));
  }
}

TEST_F(ModelExchangeTest, WhatAKilledSaveLeftGoes) {
  write_old();
  fs::create_directory(path_ + "/bertie-saving-abc123");
  write_all(path_ + "/bertie-saving-abc123", {"vocab.txt"}, "half");
  finish_exchange(path_);
  expect(old_names, "old", "");
  fs::create_directory(path_ + "/bertie-saving-notes-of-mine");
  finish_exchange(path_);
  EXPECT_TRUE(fs::exists(path_ + "/bertie-saving-notes-of-mine"));
}

TEST_F(ModelExchangeTest, WhatCannotBeReplacedIsSaidBeforeAnythingChanges) {
  for (std::string name : {"vocab.txt", "pytorch_model.bin", "model-00009-of-00010.safetensors"}) {
    write_old();
    fs::create_directory(path_ + "/" + name);
    std::string said = "[save] can replace only regular files, and " + path_ + "/" + name + " is none";
    EXPECT_EQ(message_of([&] { check_replaceable(path_); }), said);
    EXPECT_EQ(message_of([&] { ModelExchange exchange(path_); }), said);
    fs::remove(path_ + "/" + name);
    expect(old_names, "old", name);
  }
}

TEST_F(ModelExchangeTest, NamesOfAModelsFiles) {
  for (const char* name :
       {"config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors", "pytorch_model.bin",
        "tokenizer.json", "added_tokens.json", "special_tokens_map.json", "model.safetensors.index.json",
        "pytorch_model.bin.index.json", "model-00001-of-00003.safetensors",
        "pytorch_model-00001-of-00003.bin", "tf_model.h5", "modules.json", "metrics.jsonl", "report.html",
        training_record})
    EXPECT_TRUE(is_model_file(name)) << name;
  for (const char* name :
       {"pytorch_model-my-of-notes.bin", "model-1-of-3.safetensors", "model-00001-of-00003.safetensors.bak",
        "xmodel-00001-of-00003.safetensors", "model-0000a-of-00003.safetensors", "README.md", "vocab.txt~",
        "model-00001-of-00003.bin", "unfinished-metrics.jsonl", "unfinished-report.html", ""})
    EXPECT_FALSE(is_model_file(name)) << name;
}

// The whole way with real models, killed at random moments, most of them amid writing and exchanging.
TEST_F(SavedModel, IsOldOrNewWheneverASaveIsKilled) {
  BertConfig config = small_config(12);
  config.hidden_size = 16;  // the files of the two would not fit each other
  BertForMaskedLM other(config, Initializer::normal(0.1, 4));
  auto words = [](const BertForMaskedLM& model) {
    return model.bert().word_embeddings().array().to_vector<float>();
  };
  std::vector<float> first = words(model_), second = words(other);
  std::mt19937 random(7);
  int firsts = 0, seconds = 0;
  for (int round = 0; round < 30; ++round) {
    int saved[2];  // a byte for each save
    ASSERT_EQ(pipe(saved), 0);
    pid_t child = fork();
    if (child == 0) {
      try {
        for (bool written = true; written;) {
          save_pretrained(other, small_tokenizer(), path_);
          written = write(saved[1], "", 1) == 1;
          save_pretrained(model_, small_tokenizer(), path_);
          written = written && write(saved[1], "", 1) == 1;
        }
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
      }
      _exit(1);
    }
    close(saved[1]);
    char byte;
    for (uint32_t saves = random() % 3; saves > 0; --saves) ASSERT_EQ(read(saved[0], &byte, 1), 1);
    usleep(random() % 50000);
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    close(saved[0]);
    ASSERT_TRUE(WIFSIGNALED(status)) << "a save failed";
    auto loaded = load_pretrained<BertForMaskedLM>(path_);
    bool is_first = words(*loaded.model) == first;
    EXPECT_TRUE(is_first || words(*loaded.model) == second);
    (is_first ? firsts : seconds) += 1;
    EXPECT_EQ(names_in(path_).size(), 4u);
  }
  EXPECT_GT(firsts, 0);
  EXPECT_GT(seconds, 0);
}

}  // namespace
}  // namespace bertie
