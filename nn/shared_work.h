// Work that processes share, while each of them needs all of what comes of it.
#pragma once
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "bertie/nn/processes.h"

namespace bertie {

// Everyone's. Pieces 0 … pieces − 1 are the same for any number of processes: number p is done by process
// p mod count(), or, where there are no `processes`, by this one. `take` is told in each process what came of
// every piece, in their order, so that what it adds up has the same bits for any number of them. It is told
// after each count() pieces, so nobody waits longer than one takes. What a piece throws, or `take`, becomes a
// SharedError of all.
void share_work(Processes* processes, int64_t pieces, const std::function<std::string(int64_t piece)>& work,
                const std::function<void(int64_t piece, std::string_view result)>& take);

// The same where a piece comes to some numbers, or to other values that are nothing but their bytes.
template <class T>
void share_work(Processes* processes, int64_t pieces,
                const std::function<std::vector<T>(int64_t piece)>& work,
                const std::function<void(int64_t piece, std::span<const T> result)>& take) {
  static_assert(std::is_trivially_copyable_v<T>);
  share_work(
      processes, pieces,
      [&](int64_t piece) {
        std::vector<T> values = work(piece);
        return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
      },
      [&](int64_t piece, std::string_view result) {
        std::vector<T> values(result.size() / sizeof(T));
        if (!result.empty()) std::memcpy(values.data(), result.data(), values.size() * sizeof(T));
        take(piece, values);
      });
}

// Everyone's. The least of their numbers; without processes, this one's.
int64_t least_of_all(Processes* processes, int64_t mine);

}  // namespace bertie
