#include "bertie/autograd/array.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "bertie/autograd/conversion_table.h"
#include "bertie/autograd/kernel_table.h"
#include "bertie/autograd/memory.h"
#include "bertie/autograd/threads.h"

namespace bertie {

BERTIE_DEFINE_KERNELS(ConversionKernels, conversion)

namespace {

// IEEE half precision: 1 sign, 5 exponent, 10 fraction bits.
double half_value(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double magnitude = exponent == 0    ? fraction * 0x1p-24
                     : exponent == 31 ? (fraction ? std::numeric_limits<double>::quiet_NaN()
                                                  : std::numeric_limits<double>::infinity())
                                      : (1024 + fraction) * 0x1p-25 * static_cast<double>(1u << exponent);
  return bits >> 15 ? -magnitude : magnitude;
}

double bfloat_value(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

template <class T>
T element_at(const void* data, int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

double value_at(DType type, const void* data, int64_t index) {
  switch (type) {
    case DType::f32:
      return element_at<float>(data, index);
    case DType::f64:
      return element_at<double>(data, index);
    case DType::i32:
      return element_at<int32_t>(data, index);
    case DType::i64:
      return static_cast<double>(element_at<int64_t>(data, index));
    case DType::boolean:
      return element_at<uint8_t>(data, index) != 0;
    case DType::i8:
      return element_at<int8_t>(data, index);
    case DType::f16:
      return half_value(element_at<uint16_t>(data, index));
    case DType::bf16:
      return bfloat_value(element_at<uint16_t>(data, index));
  }
  return 0;
}

// By way of a float whose last bit is 1 where it isn't exact (rounded to odd): the nearest float may be the
// middle of two numbers of bf16 where the value lies beside it.
bfloat16 nearest_bfloat16(double value) {
  float x = static_cast<float>(value);
  if (x == value || !std::isfinite(x)) return x;
  if (std::abs(x) > std::abs(value)) x = std::nextafter(x, 0.0f);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) | 1);
}

void set_value(DType type, void* data, int64_t index, double value) {
  auto store = [&](auto typed) {
    std::memcpy(static_cast<char*>(data) + index * static_cast<int64_t>(sizeof(typed)), &typed,
                sizeof(typed));
  };
  auto store_integer = [&](auto typed) {
    using T = decltype(typed);
    // The bounds as powers of two, which f64 holds exactly; NaN is outside.
    double bound = std::ldexp(1.0, 8 * static_cast<int>(sizeof(T)) - 1);
    BERTIE_CHECK(value >= -bound && value < bound, "array", "{} can't be stored as {}", value, name(type));
    store(static_cast<T>(value));
  };
  switch (type) {
    case DType::f32:
      return store(static_cast<float>(value));
    case DType::f64:
      return store(value);
    case DType::i32:
      return store_integer(int32_t{});
    case DType::i64:
      return store_integer(int64_t{});
    case DType::boolean:
      return store(static_cast<uint8_t>(value != 0));
    case DType::i8:
      return store_integer(int8_t{});
    case DType::bf16:
      return store(nearest_bfloat16(value));
    case DType::f16:
      fail("array", "{} can be read from files but not written", name(type));
  }
}

}  // namespace

int64_t element_size(DType type) {
  switch (type) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::boolean:
    case DType::i8:
      return 1;
  }
  return 0;
}

const char* name(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::boolean:
      return "bool";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i8:
      return "i8";
  }
  return "?";
}

Storage::~Storage() {
  if (!owner) release(data);
}

Array Array::empty(const Shape& shape, DType type) {
  Array array;
  array.shape_ = shape;
  array.dtype_ = type;
  array.size_ = shape.size();
  array.storage_ = std::make_shared<Storage>();
  array.storage_->bytes = array.bytes();
  array.storage_->data = allocate(array.bytes());
  return array;
}

Array Array::zeros(const Shape& shape, DType type) {
  Array array = empty(shape, type);
  array.fill_zero();
  return array;
}

Array Array::full(const Shape& shape, double value, DType type) {
  Array array = empty(shape, type);
  for (int64_t i = 0; i < array.size_; ++i) set_value(type, array.storage_->data, i, value);
  return array;
}

Array Array::wrap(const void* data, const Shape& shape, DType type, std::shared_ptr<const void> owner) {
  Array array = wrap(const_cast<void*>(data), shape, type, std::move(owner));
  array.storage_->writable = false;
  return array;
}

Array Array::wrap(void* data, const Shape& shape, DType type, std::shared_ptr<const void> owner) {
  BERTIE_CHECK(data != nullptr || shape.size() == 0, "array", "no memory given for shape {}", shape);
  BERTIE_CHECK(owner != nullptr, "array", "memory of a file or of a caller needs an owner");
  Array array;
  array.shape_ = shape;
  array.dtype_ = type;
  array.size_ = shape.size();
  array.storage_ = std::make_shared<Storage>();
  array.storage_->data = data;
  array.storage_->bytes = array.bytes();
  array.storage_->owner = std::move(owner);
  return array;
}

const void* Array::bytes_begin() const {
  BERTIE_CHECK(storage_ != nullptr, "array", "there is no array here");
  return static_cast<const char*>(storage_->data) + offset_;
}

void* Array::mutable_bytes() {
  BERTIE_CHECK(storage_ != nullptr, "array", "there is no array here");
  BERTIE_CHECK(storage_->writable, "array", "this array is read-only memory of a file");
  ++storage_->version;
  return static_cast<char*>(storage_->data) + offset_;
}

double Array::item(int64_t index) const {
  BERTIE_CHECK(index >= 0 && index < size_, "array", "element {} is out of range for shape {}", index,
               shape_);
  return value_at(dtype_, bytes_begin(), index);
}

Array Array::reshape(const Shape& shape) const {
  BERTIE_CHECK(shape.size() == size_, "reshape", "the number of elements must stay: from {} to {}", shape_,
               shape);
  Array view = *this;
  view.shape_ = shape;
  return view;
}

Array Array::rows(int64_t begin, int64_t end) const {
  BERTIE_CHECK(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0], "rows",
               "rows {} … {} are not within shape {}", begin, end, shape_);
  int64_t row = shape_[0] == 0 ? 0 : size_ / shape_[0];
  return flat(begin * row, shape_.with(0, end - begin));
}

Array Array::flat(int64_t begin, const Shape& shape) const {
  BERTIE_CHECK(begin >= 0 && begin <= size_ && shape.size() <= size_ - begin, "array",
               "{} elements from {} on are not within shape {}", shape.size(), begin, shape_);
  Array view = *this;
  view.offset_ += begin * element_size(dtype_);
  view.shape_ = shape;
  view.size_ = shape.size();
  return view;
}

Array Array::clone() const {
  Array copy = empty(shape_, dtype_);
  std::memcpy(copy.storage_->data, bytes_begin(), bytes());
  return copy;
}

Array Array::cast(DType type) const {
  if (type == dtype_) return clone();
  Array result = empty(shape_, type);
  result.convert_from(*this);
  return result;
}

void Array::convert_from(const Array& source) {
  BERTIE_CHECK(source.shape_ == shape_, "array", "can't convert {} to {}", source.shape_, shape_);
  if (source.dtype_ == dtype_) return copy_from(source);
  constexpr int64_t grain = 1 << 16;
  auto by = [&](auto loop, const auto* from, auto* to) {
    parallel_ranges(size_, grain,
                    [&](int64_t begin, int64_t end) { loop(from + begin, to + begin, end - begin); });
  };
  const ConversionKernels<bfloat16>& kernels = conversion_kernels<bfloat16>();
  if (source.dtype_ == DType::f32 && dtype_ == DType::bf16)
    return by(kernels.store, source.data<float>(), mutable_data<bfloat16>());
  if (source.dtype_ == DType::bf16 && dtype_ == DType::f32)
    return by(kernels.load, source.data<bfloat16>(), mutable_data<float>());
  const void* from = source.bytes_begin();
  void* to = mutable_bytes();
  parallel_ranges(size_, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) set_value(dtype_, to, i, value_at(source.dtype_, from, i));
  });
}

Array Array::take_memory() {
  BERTIE_CHECK(unique(), "array", "only memory that nobody else holds can be taken");
  Array result = std::exchange(*this, Array());
  auto storage = std::make_shared<Storage>();
  storage->bytes = result.storage_->bytes;
  storage->data = std::exchange(result.storage_->data, nullptr);
  result.storage_ = std::move(storage);
  return result;
}

void Array::fill_zero() { std::memset(mutable_bytes(), 0, bytes()); }

void Array::copy_from(const Array& source) {
  BERTIE_CHECK(source.shape_ == shape_ && source.dtype_ == dtype_, "array", "can't copy {} {} into {} {}",
               name(source.dtype_), source.shape_, name(dtype_), shape_);
  std::memmove(mutable_bytes(), source.bytes_begin(), bytes());
}

void Array::check_type(DType wanted) const {
  BERTIE_CHECK(dtype_ == wanted, "array", "the elements are {}, not {}", name(dtype_), name(wanted));
}

}  // namespace bertie
