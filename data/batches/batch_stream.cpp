#include "bertie/data/batches/batch_stream.h"

#include "bertie/autograd/error.h"
#include "bertie/autograd/threads.h"

namespace bertie {

BatchStream::BatchStream(BatchSource& source, DataPosition from, size_t ahead)
    : source_(source), ahead_(ahead), position_(from) {
  BERTIE_CHECK(ahead >= 1, "batch", "at least 1 batch must be made ahead, got {}", ahead);
  BERTIE_CHECK(from.pass >= 0 && from.batch >= 0, "batch",
               "a place in the data must not be negative, got batch {} of pass {}", from.batch, from.pass);
  thread_ = std::jthread([this, from](const std::stop_token& stop) {
    set_thread_count(1);  // of this thread alone
    try {
      make(stop, from);
    } catch (...) {
      std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
    changed_.notify_all();
  });
}

BatchStream::~BatchStream() = default;  // std::jthread asks its thread to stop and waits for it

void BatchStream::make(const std::stop_token& stop, DataPosition from) {
  for (int64_t pass = from.pass, first = from.batch;; ++pass, first = 0) {
    int64_t batches = source_.begin_pass(pass);
    BERTIE_CHECK(first < batches, "batch", "pass {} has {} batches, asked to go on at number {}: other data?",
                 pass, batches, first);
    for (int64_t b = first; b < batches; ++b) {
      DataPosition after = b + 1 < batches ? DataPosition{pass, b + 1} : DataPosition{pass + 1, 0};
      if (stop.stop_requested() || !put(stop, {source_.batch(b), after})) return;
    }
  }
}

bool BatchStream::put(const std::stop_token& stop, Made made) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [&] { return made_.size() < ahead_; })) return false;
  made_.push_back(std::move(made));
  changed_.notify_all();
  return true;
}

MaskedBatch BatchStream::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !made_.empty() || error_; });
  if (made_.empty()) std::rethrow_exception(error_);
  Made made = std::move(made_.front());
  made_.pop_front();
  changed_.notify_all();
  position_ = made.after;
  return std::move(made.batch);
}

}  // namespace bertie
