#include "bertie/nn/mpi/mpi_processes.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <optional>
#include <sstream>
#include <thread>

namespace bertie {
namespace {

using Clock = std::chrono::steady_clock;

// Ends the process when a call has waited too long. It can't be told to MPI, which may wait as well.
class Watchdog {
 public:
  Watchdog(double seconds, std::string name) : seconds_(seconds), name_(std::move(name)) {
    thread_ = std::thread([this] { watch(); });
  }
  ~Watchdog() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // While it exists, the others are waited for.
  class Waiting {
   public:
    explicit Waiting(Watchdog& watchdog) : watchdog_(watchdog) { watchdog_.set(Clock::now()); }
    ~Waiting() { watchdog_.set({}); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    Watchdog& watchdog_;
  };

 private:
  void set(Clock::time_point since) {
    std::lock_guard lock(mutex_);
    since_ = since;
  }
  void watch() {
    std::unique_lock lock(mutex_);
    std::chrono::duration<double> limit(seconds_), interval(std::min(1.0, seconds_ / 4));
    while (!changed_.wait_for(lock, interval, [this] { return ended_; })) {
      if (since_ == Clock::time_point{} || Clock::now() - since_ < limit) continue;
      std::fprintf(
          stderr,
          "[processes] %s has waited %g s for the others: one has died or can't be reached; it ends\n",
          name_.c_str(), seconds_);
      std::fflush(stderr);
      std::_Exit(1);
    }
  }

  double seconds_;
  std::string name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Clock::time_point since_{};  // of the call that waits; none is the epoch
  bool ended_ = false;
  std::thread thread_;
};

// MPI's counts and places.
struct Counts {
  explicit Counts(std::span<const int64_t> sizes) {
    for (int64_t size : sizes) {
      places.push_back(static_cast<int>(end));
      counts.push_back(static_cast<int>(size));
      end += size;
      BERTIE_CHECK(end <= INT_MAX, "processes", "at most {} bytes can be sent at once, got {}", INT_MAX, end);
    }
  }
  std::vector<int> counts, places;
  int64_t end = 0;
};

class MpiProcesses : public Processes {
 public:
  explicit MpiProcesses(double peer_timeout) : peer_timeout_(peer_timeout) {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &count_), "MPI_Comm_size");
    BERTIE_CHECK(provided >= MPI_THREAD_SERIALIZED, "processes",
                 "this MPI can't be called from more than one thread: {}", mpi_version());
    watchdog_.emplace(peer_timeout, name());
  }
  ~MpiProcesses() override {
    Watchdog::Waiting waiting(*watchdog_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int count() const override { return count_; }

  void exchange(std::span<const std::byte> sent, std::span<const int64_t> sent_sizes,
                std::span<std::byte> received, std::span<const int64_t> received_sizes) override {
    check_sizes(*this, sent.size(), sent_sizes);
    check_sizes(*this, received.size(), received_sizes);
    Counts to(sent_sizes), from(received_sizes);
    Watchdog::Waiting waiting(*watchdog_);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Ialltoallv(sent.data(), to.counts.data(), to.places.data(), MPI_BYTE, received.data(),
                         from.counts.data(), from.places.data(), MPI_BYTE, MPI_COMM_WORLD, &request),
          "MPI_Ialltoallv");
    wait_for(request);
  }

  void gather(std::span<std::byte> data, std::span<const int64_t> sizes) override {
    check_sizes(*this, data.size(), sizes);
    Counts all(sizes);
    Watchdog::Waiting waiting(*watchdog_);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data.data(), all.counts.data(),
                          all.places.data(), MPI_BYTE, MPI_COMM_WORLD, &request),
          "MPI_Iallgatherv");
    wait_for(request);
  }

  void end_all() override {
    std::thread([] {  // where the others can't be reached, MPI may wait for them
      std::this_thread::sleep_for(std::chrono::seconds(5));
      std::_Exit(1);
    })
        .detach();
    MPI_Abort(MPI_COMM_WORLD, 1);
    std::_Exit(1);
  }

 private:
  double peer_timeout() const override { return peer_timeout_; }

  // A blocking call would turn until all has come, on a core that computes the gradients to be sent next.
  void wait_for(MPI_Request& request) {
    constexpr std::chrono::microseconds longest(200);
    int done = 0;
    for (std::chrono::microseconds pause(0);;
         pause = std::min(longest, 2 * pause + std::chrono::microseconds(1))) {
      check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
      if (done != 0) return;
      std::this_thread::sleep_for(pause);
    }
  }
  // The connection is lost: there is nobody with whom to end in order.
  void check(int status, const char* call) {
    if (status == MPI_SUCCESS) return;
    std::array<char, MPI_MAX_ERROR_STRING + 1> text{};
    int length = 0;
    MPI_Error_string(status, text.data(), &length);
    std::fprintf(stderr, "[processes] %s: %s failed: %s\n", name().c_str(), call, text.data());
    std::fflush(stderr);
    end_all();
  }

  int rank_ = 0, count_ = 1;
  double peer_timeout_;
  std::optional<Watchdog> watchdog_;
};

}  // namespace

std::unique_ptr<Processes> join_mpi(const Launched& by, double peer_timeout) {
  auto processes = std::make_unique<MpiProcesses>(peer_timeout);
  BERTIE_CHECK(processes->count() == by.count, "processes",
               "the launcher started {} processes, MPI sees {}: the launcher is of another MPI than {}",
               by.count, processes->count(), mpi_version());
  return processes;
}

// "Open MPI v4.1.4, package: …" and "MPICH Version:      4.0.2\n…"
std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING + 1> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  std::string line(text.data()), version;
  std::istringstream words(line.substr(0, line.find_first_of(",\n")));
  for (std::string word; words >> word;)
    if (word != "Version:") version += (version.empty() ? "" : " ") + word;
  return version;
}

}  // namespace bertie
