// Array: element type, shape, storage. Contiguous, row-major, and ignorant of gradients.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "bertie/autograd/bfloat16.h"
#include "bertie/autograd/error.h"
#include "bertie/autograd/shape.h"

namespace bertie {

// f32 and f64 are for computing, bf16 for storing what is computed in f32, i32, i64 and boolean for indices
// and masks; the others appear in files.
enum class DType : uint8_t { f32, f64, i32, i64, boolean, f16, bf16, i8 };

int64_t element_size(DType type);  // bytes
const char* name(DType type);      // "f32"

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, bfloat16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::i64;
  else if constexpr (std::is_same_v<T, int8_t>)
    return DType::i8;
  else {
    static_assert(std::is_same_v<T, bool>, "no element type for this C++ type");
    return DType::boolean;
  }
}

// What arrays of this type are computed in: f32 for bf16, `type` for others.
constexpr DType compute_type(DType type) { return type == DType::bf16 ? DType::f32 : type; }

// Calls f with a value of the array's C++ type, so that one template serves f32, f64 and bf16:
//   dispatch("exp", x.dtype(), [&](auto zero) { using T = decltype(zero); … });
// T is what numbers are stored as, Compute<T> what they are computed in.
template <class F>
decltype(auto) dispatch(const char* op, DType type, F&& f) {
  if (type == DType::f32) return f(float{});
  if (type == DType::bf16) return f(bfloat16{});
  BERTIE_CHECK(type == DType::f64, op, "takes f32, f64 or bf16, got {}", name(type));
  return f(double{});
}

// The same for what is never stored as bf16: parameters, their gradients, an optimizer's moments, scores.
template <class F>
decltype(auto) dispatch_compute(const char* op, DType type, F&& f) {
  if (type == DType::f32) return f(float{});
  BERTIE_CHECK(type == DType::f64, op, "computes in f32 or f64, got {}", name(type));
  return f(double{});
}

// A block of memory with a count of its changes. Owned by the allocator, by a mapped file or by a caller.
struct Storage {
  void* data = nullptr;
  int64_t bytes = 0;
  std::shared_ptr<const void> owner;  // of foreign memory; null: the block is the allocator's
  uint64_t version = 0;               // raised by every Array::mutable_data()
  bool writable = true;

  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();
};

class Array {
 public:
  Array() = default;                                   // no storage: "no array"
  static Array empty(const Shape& shape, DType type);  // elements undefined
  static Array zeros(const Shape& shape, DType type);
  static Array full(const Shape& shape, double value, DType type);
  template <class T>
  static Array from(std::span<const T> values, const Shape& shape) {
    return copy_of<T>(values, shape);
  }
  template <class T>
  static Array from(const std::vector<T>& values) {
    return copy_of<T>(values, {static_cast<int64_t>(values.size())});
  }
  template <class T>
  static Array from(const std::vector<T>& values, const Shape& shape) {
    return copy_of<T>(values, shape);
  }
  // Memory of a mapped file or of a caller, kept alive by `owner`. Writing through a const one throws.
  static Array wrap(const void* data, const Shape& shape, DType type, std::shared_ptr<const void> owner);
  static Array wrap(void* data, const Shape& shape, DType type, std::shared_ptr<const void> owner);

  explicit operator bool() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t size() const { return size_; }  // elements
  int64_t bytes() const { return size_ * element_size(dtype_); }

  // The first element. Throws where T isn't the element type.
  template <class T>
  const T* data() const {
    check_type(dtype_of<T>());
    return static_cast<const T*>(bytes_begin());
  }
  // For writing: raises the storage's version, so that the backward pass notices a change of saved data. It
  // can't notice what is written later through a pointer that was kept: call mutable_data() again after each
  // operation that may have saved the array.
  template <class T>
  T* mutable_data() {
    check_type(dtype_of<T>());
    return static_cast<T*>(mutable_bytes());
  }
  const void* bytes_begin() const;
  void* mutable_bytes();
  double item(int64_t index = 0) const;  // one element as a number; throws out of range
  template <class T>
  std::vector<T> to_vector() const {
    return std::vector<T>(data<T>(), data<T>() + size_);
  }

  // Views: the same storage.
  Array reshape(const Shape& shape) const;
  Array rows(int64_t begin, int64_t end) const;         // a range of the first axis
  Array flat(int64_t begin, const Shape& shape) const;  // shape.size() elements from element `begin` on

  Array clone() const;                     // a copy in storage of its own
  Array cast(DType type) const;            // a copy in another type, but f16 can only be read
  void copy_from(const Array& source);     // same shape and type
  void convert_from(const Array& source);  // same shape; each number to the nearest in this type
  void fill_zero();

  // True where nobody else holds the storage: then it may be written into.
  bool unique() const { return storage_ && storage_.use_count() == 1 && !storage_->owner; }
  // The memory of a unique array as a new one, elements and all; this one is none afterwards. So saved data
  // that serves for the last time may become a gradient, and the backward pass takes that for no change of
  // it.
  Array take_memory();
  const std::shared_ptr<Storage>& storage() const { return storage_; }

 private:
  template <class T, class Values>
  static Array copy_of(const Values& values, const Shape& shape);  // a std::vector<bool> is no span
  void check_type(DType wanted) const;

  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;  // bytes
  int64_t size_ = 0;
  Shape shape_;
  DType dtype_ = DType::f32;
};

template <class T, class Values>
Array Array::copy_of(const Values& values, const Shape& shape) {
  BERTIE_CHECK(static_cast<int64_t>(values.size()) == shape.size(), "array", "{} values can't fill shape {}",
               values.size(), shape);
  Array result = empty(shape, dtype_of<T>());
  T* out = result.mutable_data<T>();
  for (T value : values) *out++ = value;
  return result;
}

}  // namespace bertie
