#pragma once

#include "pickle_reader.h"

#include "bissl/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bissl {

/// Whether a value is a text or bytes: either may be a name.
inline bool is_text(const PickleValue& value) {
  return value.kind == PickleKind::text || value.kind == PickleKind::bytes;
}

/// Carries the operations out, on a stack of values as Python's unpickler has one.
class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, std::string file) : pickle_(pickle), file_(std::move(file)) {}

  /// Throws Error(ErrorKind::input), as Pickle's constructor says.
  void run();

 private:
  /// Of values, of entries of the memo and of places of the stack: CIFAR-100 has about 200,000.
  static constexpr size_t most_values = size_t{1} << 22;

  [[noreturn]] void fail(const std::string& reason) const {
    fail_input("{}: cannot be read as a pickle: at byte {} it {}", file_, at_, reason);
  }

  std::string_view content() const { return pickle_.content_; }

  std::string_view take(uint64_t size) {
    if (size > content().size() - at_) {
      fail(fmt::format("ends, {} bytes before what it announces", size - (content().size() - at_)));
    }
    const std::string_view taken = content().substr(at_, static_cast<size_t>(size));
    at_ += static_cast<size_t>(size);
    return taken;
  }
  uint8_t byte() { return static_cast<uint8_t>(take(1).front()); }
  /// A little-endian number of `size` bytes.
  uint64_t number(size_t size) {
    uint64_t value = 0;
    const std::string_view bytes = take(size);
    for (size_t i = 0; i < size; ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    return value;
  }
  std::string_view line() {
    const size_t end = content().find('\n', at_);
    if (end == std::string_view::npos) {
      fail("ends within a name");
    }
    const std::string_view text = content().substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  void push(uint32_t place) {
    if (stack_.size() >= most_values) {
      fail("has more values than anything that is read here");
    }
    stack_.push_back(place);
  }
  PickleValue& push_new(PickleKind kind) {
    if (pickle_.values_.size() >= most_values) {
      fail("has more values than anything that is read here");
    }
    push(static_cast<uint32_t>(pickle_.values_.size()));
    pickle_.values_.emplace_back().kind = kind;
    return pickle_.values_.back();
  }
  void push_bytes(PickleKind kind, std::string_view bytes) { push_new(kind).bytes = bytes; }
  void push_integer(PickleKind kind, int64_t integer) { push_new(kind).integer = integer; }

  uint32_t pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) {
      fail("takes a value that is not there");
    }
    const uint32_t place = stack_.back();
    stack_.pop_back();
    return place;
  }
  std::vector<uint32_t> pop_to_mark();
  PickleValue& value(uint32_t place) { return pickle_.values_[place]; }
  /// The value on top, which stays there and is of this kind.
  PickleValue& top(PickleKind kind) {
    const uint32_t place = pop();
    stack_.push_back(place);
    if (value(place).kind != kind) {
      fail("adds to a value of another kind");
    }
    return value(place);
  }

  void append(PickleKind kind, const std::vector<uint32_t>& items);
  void push_collection(PickleKind kind, std::vector<uint32_t> items) {
    push_new(kind).items = std::move(items);
  }
  void push_tuple_of(size_t count);

  void remember(uint64_t index);
  void recall(uint64_t index);

  void push_global(std::string_view module, std::string_view name);
  void push_stack_global();

  /// A call of an allowed name.
  void reduce();
  uint32_t require(uint32_t place, PickleKind kind) const;

  /// Bytes that are written as text of the characters 0 to 255, in UTF-8.
  std::string_view latin1(std::string_view text);

  /// The state of an array or of a dtype.
  void build();

  void step(uint8_t operation);
  bool step_value(uint8_t operation);
  /// LONG1: a little-endian number in two's complement.
  void push_long();
  /// BINFLOAT: a big-endian double.
  void push_real();
  bool step_bytes(uint8_t operation);
  bool step_collection(uint8_t operation);
  bool step_stack(uint8_t operation);

  Pickle& pickle_;
  std::string file_;
  size_t at_ = 0;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
  size_t decoded_bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace bissl
