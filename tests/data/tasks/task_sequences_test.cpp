#include "bertie/data/tasks/task_sequences.h"

#include <gtest/gtest.h>

#include "bertie/autograd/threads.h"
#include "tests/data/tasks/small_tokenizer.h"
#include "tests/message_of.h"

namespace bertie {
namespace {

using Ids = std::vector<int32_t>;

Ids ids_of(const TaskSequences& sequences, int64_t i) { return {sequences[i].begin(), sequences[i].end()}; }

TEST(TaskSequences, AreTextsAndPairs) {
  std::vector<TextExample> examples{
      {.text = "a bde"}, {.text = "a", .text_pair = "c b"}, {.text = "", .text_pair = ""}};
  TaskSequences sequences = encode_texts(small_tokenizer(), examples, 16);
  ASSERT_EQ(sequences.size(), 3);
  EXPECT_EQ(ids_of(sequences, 0), (Ids{2, 5, 6, 8, 9, 3}));
  EXPECT_EQ(ids_of(sequences, 1), (Ids{2, 5, 3, 7, 6, 3}));
  EXPECT_EQ(ids_of(sequences, 2), (Ids{2, 3, 3}));
  EXPECT_EQ(sequences.second_begins, (std::vector<int64_t>{6, 3, 2}));
  EXPECT_EQ(sequences.examples, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(sequences.offsets, (std::vector<int64_t>{0, 6, 12, 15}));
  EXPECT_EQ(sequences.cut_sequences, 0);
  EXPECT_FALSE(sequences.labels);
}

TEST(TaskSequences, LoseTokensOfTheLongerTextFirst) {
  std::vector<TextExample> examples{{.text = "a b c"}, {.text = "a b c", .text_pair = "b"}};
  TaskSequences sequences = encode_texts(small_tokenizer(), examples, 5);
  EXPECT_EQ(ids_of(sequences, 0), (Ids{2, 5, 6, 7, 3}));
  EXPECT_EQ(ids_of(sequences, 1), (Ids{2, 5, 3, 6, 3}));
  EXPECT_EQ(sequences.second_begins[1], 3);
  EXPECT_EQ(sequences.cut_off, 2);
  EXPECT_EQ(sequences.cut_sequences, 1);
  EXPECT_EQ(message_of([&] { encode_texts(small_tokenizer(), examples, 4); }),
            "[task] max_length must leave room for the special tokens and one of each text, so be at least "
            "5, got 4");
  EXPECT_EQ(encode_texts(small_tokenizer(), std::span(examples).first(1), 3).cut_off, 2);
}

// Enough for several tasks.
TEST(TaskSequences, AreTheSameOnAnyNumberOfThreads) {
  std::vector<TextExample> examples(1000);
  for (size_t i = 0; i < examples.size(); ++i) {
    for (size_t word = 0; word < i % 7; ++word) examples[i].text += "a ";
    if (i % 3 == 0) examples[i].text_pair = "b";
  }
  TaskSequences all = encode_texts(small_tokenizer(), examples, 7);
  for (size_t i = 0; i < examples.size(); ++i) {
    ASSERT_EQ(all.examples[i], static_cast<int64_t>(i));
    TaskSequences one = encode_texts(small_tokenizer(), std::span(examples).subspan(i, 1), 7);
    ASSERT_EQ(ids_of(all, static_cast<int64_t>(i)), ids_of(one, 0));
    ASSERT_EQ(all.second_begins[i], one.second_begins[0]);
  }
  const int before = thread_count();
  set_thread_count(1);
  EXPECT_EQ(encode_texts(small_tokenizer(), examples, 7).hash(), all.hash());
  set_thread_count(before);
}

TEST(TaskSequences, HaveLabelsOfTheTask) {
  LabelSet labels({"no", "yes", "x"});
  std::vector<TextExample> examples{{.text = "a", .labels = {"yes"}, .value = 1.5},
                                    {.text = "b", .labels = {"no"}, .value = -2}};
  EXPECT_EQ(class_labels(examples, labels).to_vector<int32_t>(), (Ids{1, 0}));
  EXPECT_EQ(number_labels(examples).to_vector<float>(), (std::vector<float>{1.5, -2}));
  examples[1].labels = {"x", "no"};
  Array several = several_labels(examples, labels);
  EXPECT_EQ(several.shape(), Shape({2, 3}));
  EXPECT_EQ(several.to_vector<float>(), (std::vector<float>{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(message_of([&] { class_labels(examples, labels); }),
            "[task] the data: there must be one label, got 2");
  examples[1].labels = {"maybe"};
  EXPECT_NE(message_of([&] { several_labels(examples, labels); }).find("the label 'maybe' is none of"),
            std::string::npos);
  EXPECT_NE(message_of([&] { class_labels(examples, labels); }).find("the label 'maybe' is none of"),
            std::string::npos);
  examples[1].labels = {};
  EXPECT_EQ(message_of([&] { number_labels(examples); }), "[task] the data: there must be a label, a number");
}

TEST(TaskSequences, AreToldApartByTheirHash) {
  std::vector<TextExample> examples{{.text = "a b"}, {.text = "c", .text_pair = "b"}};
  TaskSequences sequences = encode_texts(small_tokenizer(), examples, 8);
  sequences.labels = Array::from(Ids{0, 1});
  const std::string hash = sequences.hash();
  auto changed = [&](auto&& change) {
    TaskSequences other = sequences;
    change(other);
    return other.hash() != hash;
  };
  EXPECT_FALSE(changed([](TaskSequences&) {}));
  EXPECT_TRUE(changed([](TaskSequences& s) { s.ids[1] = 7; }));
  EXPECT_TRUE(changed([](TaskSequences& s) { s.offsets[1] = 5; }));
  EXPECT_TRUE(changed([](TaskSequences& s) { s.second_begins[1] = 2; }));
  EXPECT_TRUE(changed([](TaskSequences& s) { s.examples[1] = 0; }));
  EXPECT_TRUE(changed([](TaskSequences& s) { s.labels = Array::from(Ids{0, 0}); }));
  EXPECT_TRUE(changed([](TaskSequences& s) { s.labels = {}; }));
}

TEST(TaskSequences, RefuseANumberThatIsNotThere) {
  TaskSequences sequences = encode_texts(small_tokenizer(), std::vector<TextExample>{{.text = "a"}}, 8);
  EXPECT_EQ(message_of([&] { (void)sequences[1]; }), "[task] there are 1 sequences, asked for number 1");
  EXPECT_EQ(message_of([&] { (void)sequences.length(-1); }),
            "[task] there are 1 sequences, asked for number -1");
}

}  // namespace
}  // namespace bertie
