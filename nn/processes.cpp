#include "bertie/nn/processes.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>
#include <optional>
#include <string_view>
#include <thread>

#include "bertie/nn/mpi/mpi_processes.h"

namespace bertie {
namespace {

class Alone : public Processes {
 public:
  int rank() const override { return 0; }
  int count() const override { return 1; }
  void exchange(std::span<const std::byte> sent, std::span<const int64_t> sent_sizes,
                std::span<std::byte> received, std::span<const int64_t> received_sizes) override {
    check_sizes(*this, sent.size(), sent_sizes);
    check_sizes(*this, received.size(), received_sizes);
    BERTIE_CHECK(sent.size() == received.size(), "processes", "{} bytes are sent, {} received", sent.size(),
                 received.size());
    std::copy(sent.begin(), sent.end(), received.begin());
  }
  void gather(std::span<std::byte> data, std::span<const int64_t> sizes) override {
    check_sizes(*this, data.size(), sizes);
  }
  void end_all() override { std::_Exit(1); }

 private:
  double peer_timeout() const override { return 60; }
};

std::optional<int> number_of(const char* variable) {
  const char* text = std::getenv(variable);
  if (!text) return {};
  int value = 0;
  const char* end = text + std::strlen(text);
  auto [stop, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stop != end || value < 0) return {};
  return value;
}

// Says now and then that the first process is still at work.
enum class Word : char { working, done, failed };

}  // namespace

void check_sizes(const Processes& processes, size_t bytes, std::span<const int64_t> sizes) {
  BERTIE_CHECK(std::ssize(sizes) == processes.count() &&
                   std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size >= 0; }) &&
                   std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) == static_cast<int64_t>(bytes),
               "processes", "{} sizes must add up to {} bytes for {} processes", sizes.size(), bytes,
               processes.count());
}

std::string Processes::name() const {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("process {} of {} on {}", rank() + 1, count(), host.data());
}

std::vector<std::string> Processes::gather(const std::string& mine) {
  std::vector<int64_t> sizes(static_cast<size_t>(count()));
  sizes[rank()] = std::ssize(mine);
  std::vector<int64_t> each(sizes.size(), sizeof(int64_t));
  gather(std::as_writable_bytes(std::span(sizes)), each);
  std::string all(static_cast<size_t>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})), '\0');
  int64_t begin = std::accumulate(sizes.begin(), sizes.begin() + rank(), int64_t{0});
  std::copy(mine.begin(), mine.end(), all.begin() + begin);
  gather(std::as_writable_bytes(std::span(all)), sizes);
  std::vector<std::string> texts;
  for (size_t r = 0, at = 0; r < sizes.size(); at += sizes[r++]) texts.push_back(all.substr(at, sizes[r]));
  return texts;
}

void Processes::let_first(const std::function<void()>& work) {
  auto say = [this](Word word) {
    std::vector<int64_t> sizes(static_cast<size_t>(count()), 0);
    sizes[0] = 1;
    gather(std::as_writable_bytes(std::span(&word, 1)), sizes);
    return word;
  };
  if (count() == 1) return work();
  Word word = Word::working;
  std::string failure;
  if (is_first()) {
    std::mutex mutex;
    std::condition_variable changed;
    bool at_work = true;
    std::thread beat([&] {
      auto interval = std::chrono::duration<double>(peer_timeout() / 4);
      std::unique_lock lock(mutex);
      while (!changed.wait_for(lock, interval, [&] { return !at_work; })) say(Word::working);
    });
    try {
      work();
    } catch (const std::exception& error) {
      word = Word::failed;
      failure = error.what();
    }
    {
      std::lock_guard lock(mutex);
      at_work = false;
    }
    changed.notify_one();
    beat.join();
    word = say(word == Word::failed ? word : Word::done);
  } else {
    while (word == Word::working) word = say(word);
  }
  if (word == Word::done) return;
  failure = gather(failure)[0];
  throw SharedError(failure);
}

// Open MPI's mpirun; MPICH's mpiexec and Slurm's srun --mpi=pmi2; srun --mpi=pmix.
Launched launched() {
  constexpr std::array<std::pair<const char*, const char*>, 3> variables = {
      {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
       {"PMI_RANK", "PMI_SIZE"},
       {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"}}};
  for (const auto& [rank, size] : variables)
    if (auto r = number_of(rank), n = number_of(size); r && n && *n >= 1) return {*r, *n, true};
  return {};
}

std::unique_ptr<Processes> join_processes(double peer_timeout) {
  Launched by = launched();
  if (!by.by_launcher) return std::make_unique<Alone>();
  return join_mpi(by, peer_timeout);
}

}  // namespace bertie
