// The processes that train one model together: those that mpirun or srun started, or this one alone. All run
// the same program with the same options.
//
// Where a function says that it is everyone's, each process calls it, in the same order as the others; a
// process does so from one thread at a time. A process that waits there longer than the peer timeout for
// another one, which has died or can't be reached, tells so and ends with status 1.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "bertie/autograd/error.h"

namespace bertie {

// One that each process throws at the same place, so that one of them needs to tell it, and all can end in
// order.
class SharedError : public Error {
 public:
  using Error::Error;
};

class Processes {
 public:
  virtual ~Processes() = default;
  virtual int rank() const = 0;  // 0 … count() − 1
  virtual int count() const = 0;
  bool is_first() const { return rank() == 0; }
  std::string name() const;  // "process 2 of 4 on node17", for messages

  // Everyone's. Gives each process its bytes: of `sent`, sent_sizes[0] to the first, the next sent_sizes[1]
  // to the second, …; and into `received` what came from the first, the second, … Who sends how much is known
  // to those who receive it. Throws where sizes and spans don't fit; at most 2³¹ − 1 bytes either way.
  virtual void exchange(std::span<const std::byte> sent, std::span<const int64_t> sent_sizes,
                        std::span<std::byte> received, std::span<const int64_t> received_sizes) = 0;
  // Everyone's. Of `data`, the first sizes[0] bytes are the first process's, the next sizes[1] the second's,
  // …: afterwards each has all of them. As long as exchange() takes.
  virtual void gather(std::span<std::byte> data, std::span<const int64_t> sizes) = 0;

  // Everyone's: the texts of all, by rank.
  std::vector<std::string> gather(const std::string& mine);
  // Everyone's: all have what the first one has, as many bytes as there are.
  void copy_from_first(std::span<std::byte> data);
  std::string of_first(const std::string& mine);
  template <class T>
  requires std::is_trivially_copyable_v<T> T of_first(T mine) {
    copy_from_first(std::as_writable_bytes(std::span(&mine, 1)));
    return mine;
  }
  // Everyone's: whether one of them says so.
  bool any(bool mine);

  // Everyone's: each process does its own work, which doesn't call the others, or the first one alone does
  // it; however long it takes, all wait. What the work throws becomes a SharedError of all. Where each works,
  // and not all say the same, it names those that failed.
  void let_each(const std::function<void()>& work);
  void let_first(const std::function<void()>& work);

  // Ends all of them with status 1, at once. What there is to say has been said.
  [[noreturn]] virtual void end_all() = 0;

 protected:
  virtual double peer_timeout() const = 0;  // seconds

 private:
  std::vector<std::string> failures_of(const std::function<void()>& work);
};

// What a launcher says of this process in its environment; one alone where there is none.
struct Launched {
  int rank = 0, count = 1;
  bool by_launcher = false;
};
Launched launched();

// Once in a program, before anything of it has an effect. Without a launcher, this process alone: MPI isn't
// touched. Throws where bertie was built without MPI and a launcher started several, or MPI sees another
// number of processes than the launcher, being of another make.
std::unique_ptr<Processes> join_processes(double peer_timeout = 60);

// This process alone, whoever started it.
Processes& this_process();

// Whether bertie was built with MPI: its name and version, else empty.
std::string mpi_version();

}  // namespace bertie
