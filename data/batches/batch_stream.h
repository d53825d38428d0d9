// The batches of a source one after the other, made ahead on a thread of their own, so that computing never
// waits for them.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "bertie/data/batches/batch_source.h"

namespace bertie {

// A place in the data: before batch number `batch` of pass number `pass`.
struct DataPosition {
  int64_t pass = 0, batch = 0;

  bool operator==(const DataPosition&) const = default;
};

class BatchStream {
 public:
  // Begins at `from`, with at most `ahead` batches waiting. The source must outlive this, and nobody else may
  // use it meanwhile. The thread runs no parallel loops, so there is no second pool of threads.
  explicit BatchStream(BatchSource& source, DataPosition from = {}, size_t ahead = 3);
  ~BatchStream();  // ends the thread as soon as the batch or the plan that it is at is made
  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  // Waits until the batch is there. Throws what making it threw, and then again at each further call; also
  // where the pass of `from` has no such batch.
  MaskedBatch next();
  // Of the batch that next() gives next.
  DataPosition position() const { return position_; }

 private:
  struct Made {
    MaskedBatch batch;
    DataPosition after;
  };
  void make(const std::stop_token& stop, DataPosition from);
  bool put(const std::stop_token& stop, Made made);  // false: the stream ends

  BatchSource& source_;
  size_t ahead_;
  DataPosition position_;
  std::mutex mutex_;  // of what follows
  std::condition_variable_any changed_;
  std::deque<Made> made_;
  std::exception_ptr error_;  // what ended the thread
  std::jthread thread_;       // the last member: it uses the others
};

}  // namespace bertie
