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
#include <new>
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

void Processes::copy_from_first(std::span<std::byte> data) {
  constexpr size_t piece = size_t{1} << 26;  // which is there long before the peer timeout
  std::vector<int64_t> sizes(static_cast<size_t>(count()), 0);
  while (count() > 1 && !data.empty()) {
    std::span<std::byte> next = data.first(std::min(piece, data.size()));
    sizes[0] = std::ssize(next);
    gather(next, sizes);
    data = data.subspan(next.size());
  }
}

std::string Processes::of_first(const std::string& mine) {
  std::string text(of_first(mine.size()), '\0');
  if (is_first()) text = mine;
  copy_from_first(std::as_writable_bytes(std::span(text)));
  return text;
}

bool Processes::any(bool mine) {
  std::vector<char> said(static_cast<size_t>(count()), mine ? 1 : 0);
  gather(std::as_writable_bytes(std::span(said)), std::vector<int64_t>(said.size(), 1));
  return std::count(said.begin(), said.end(), 1) > 0;
}

// A thread says for each now and then that it is still at work, until none is. Returns what failed, by rank;
// nothing where nothing did.
std::vector<std::string> Processes::failures_of(const std::function<void()>& work) {
  enum class State : char { working, done, failed };
  State state = State::working;
  std::mutex mutex;  // of the state
  std::condition_variable changed;
  std::vector<State> states(static_cast<size_t>(count()));
  auto is = [&](State asked) { return std::count(states.begin(), states.end(), asked) > 0; };
  std::thread beat([&] {
    auto interval = std::chrono::duration<double>(peer_timeout() / 4);
    std::vector<int64_t> sizes(states.size(), sizeof(State));
    do {
      {
        std::unique_lock lock(mutex);
        changed.wait_for(lock, interval, [&] { return state != State::working; });
        states[rank()] = state;
      }
      gather(std::as_writable_bytes(std::span(states)), sizes);
    } while (is(State::working));
  });
  std::string failure;
  bool failed = true;
  try {
    work();
    failed = false;
  } catch (const std::bad_alloc&) {
    failure = "[memory] the system has none left";
  } catch (const std::exception& error) {
    failure = error.what();
  }
  {
    std::lock_guard lock(mutex);
    state = failed ? State::failed : State::done;
  }
  changed.notify_one();
  beat.join();
  if (!is(State::failed)) return {};
  return gather(failure);
}

void Processes::let_first(const std::function<void()>& work) {
  if (count() == 1) return work();
  std::vector<std::string> failures = failures_of(is_first() ? work : [] {});
  if (!failures.empty()) throw SharedError(failures[0]);
}

void Processes::let_each(const std::function<void()>& work) {
  if (count() == 1) return work();
  std::vector<std::string> failures = failures_of(work);
  if (failures.empty()) return;
  if (std::count(failures.begin(), failures.end(), failures[0]) == std::ssize(failures))
    throw SharedError(failures[0]);
  std::vector<std::string> names = gather(name());
  std::string all;
  for (size_t r = 0; r < failures.size(); ++r)
    if (!failures[r].empty()) all += (all.empty() ? "" : "; ") + names[r] + ": " + failures[r];
  throw SharedError(all);
}

// Open MPI, MPICH and what speaks as it does, and PMIx as Slurm's srun has it.
Launched launched() {
  constexpr std::array<std::pair<const char*, const char*>, 3> variables = {
      {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
       {"PMI_RANK", "PMI_SIZE"},
       {"PMIX_RANK", "SLURM_NTASKS"}}};
  for (const auto& [rank, size] : variables)
    if (auto r = number_of(rank), n = number_of(size); r && n && *n >= 1) return {*r, *n, true};
  return {};
}

Processes& this_process() {
  static Alone alone;
  return alone;
}

std::unique_ptr<Processes> join_processes(double peer_timeout) {
  Launched by = launched();
  if (!by.by_launcher) return std::make_unique<Alone>();
  return join_mpi(by, peer_timeout);
}

}  // namespace bertie
