// The machine's memory bandwidth.
#pragma once
#include "bertie/autograd/array.h"

namespace bertie {

// (bytes read + bytes written) / time of scaling 1 GiB of f32 in place, by bertie's threads. Clouds let it
// swing: measure it close to what it is compared with.
class Bandwidth {
 public:
  Bandwidth();
  double gbs();  // GB/s of one pass

 private:
  Array block_;
};

}  // namespace bertie
