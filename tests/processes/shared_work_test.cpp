#include "bertie/nn/shared_work.h"

#include <gmock/gmock.h>

#include "tests/message_of.h"
#include "tests/processes/everyone.h"

namespace bertie {
namespace {

using testing::ElementsAre;

// 0, 1, … p − 1 squared, for piece p.
std::vector<double> squares_of(int64_t piece) {
  std::vector<double> squares;
  for (int64_t i = 0; i < piece; ++i) squares.push_back(static_cast<double>(i * i));
  return squares;
}

TEST(SharedWork, IsTakenInOrderByAllAndDoneOnce) {
  for (int64_t pieces : {0, 1, 2, 3, 7, 8}) {
    std::vector<int64_t> done, taken;
    share_work<double>(
        &everyone(), pieces,
        [&](int64_t piece) {
          done.push_back(piece);
          return squares_of(piece);
        },
        [&](int64_t piece, std::span<const double> result) {
          taken.push_back(piece);
          EXPECT_EQ(std::vector(result.begin(), result.end()), squares_of(piece));
        });
    std::vector<int64_t> all, own;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      all.push_back(piece);
      if (piece % everyone().count() == everyone().rank()) own.push_back(piece);
    }
    EXPECT_EQ(taken, all);
    EXPECT_EQ(done, own);
  }
}

TEST(SharedWork, IsDoneByOneWhereThereAreNoOthers) {
  std::vector<int64_t> done;
  std::string taken;
  share_work(
      nullptr, 3,
      [&](int64_t piece) {
        done.push_back(piece);
        return std::to_string(piece);
      },
      [&](int64_t, std::string_view result) { taken += result; });
  EXPECT_THAT(done, ElementsAre(0, 1, 2));
  EXPECT_EQ(taken, "012");
  EXPECT_EQ(message_of([] { share_work(nullptr, -1, [](int64_t) { return ""; }, {}); }),
            "[processes] there must be 0 pieces of work or more, got -1");
}

// What fails in one fails in all, and what came before has been taken.
TEST(SharedWork, FailsTogether) {
  for (bool taking : {false, true}) {
    std::vector<int64_t> taken;
    EXPECT_EQ(message_of([&] {
                share_work(
                    &everyone(), 6,
                    [&](int64_t piece) -> std::string {
                      if (!taking && piece >= 3) throw Error("no " + std::to_string(piece));
                      return "";
                    },
                    [&](int64_t piece, std::string_view) {
                      if (taking && piece == 3) throw Error("no 3");
                      taken.push_back(piece);
                    });
              }),
              "no 3");
    EXPECT_THAT(taken, ElementsAre(0, 1, 2));
  }
  EXPECT_THAT(everyone().gather("goes on"), testing::Each("goes on"));
  if (everyone().count() == 1) return;
  auto fail = [](int64_t) -> std::string { throw std::bad_alloc(); };
  EXPECT_THROW(share_work(&everyone(), 1, fail, [](int64_t, std::string_view) {}), SharedError);
  auto refuse = [](int64_t, std::string_view) { throw Error("no"); };
  EXPECT_THROW(share_work(
                   &everyone(), 1, [](int64_t) { return std::string(); }, refuse),
               SharedError);
}

TEST(SharedWork, KnowsTheLeast) {
  for (int least = 0; least < everyone().count(); ++least)
    EXPECT_EQ(least_of_all(&everyone(), everyone().rank() == least ? -5 : everyone().rank()), -5);
  EXPECT_EQ(least_of_all(nullptr, 7), 7);
}

}  // namespace
}  // namespace bertie
