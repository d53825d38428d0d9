// What a project may want of bertie before anything else: its version, which is that of the package, and that
// it leaves the process alone.
#include <cstdio>
#include <cstring>

#include <bertie/autograd/array.h>
#include <bertie/autograd/memory.h>
#include <bertie/autograd/version.h>

#if __has_include(<autograd/array.h>) || __has_include(<data/files/mapped_file.h>) || \
    __has_include(<nn/module.h>) || __has_include(<tests/message_of.h>)
#error "bertie's folders are on the include path"
#endif

int main() {
  bertie::set_memory_options({.tune_malloc = false, .reserve_addresses = false});
  double sum = bertie::Array::full({3}, 2, bertie::DType::f32).item(2);
  std::printf("%s %s, %g\n", VERSION, std::strcmp(bertie::version(), VERSION) == 0 ? "agrees" : "differs",
              sum);
  return 0;
}
