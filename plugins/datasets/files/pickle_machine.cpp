#include "pickle_machine.h"

#include <bit>

namespace bissl {
namespace {

constexpr uint8_t newest_protocol = 4;

}  // namespace

void PickleMachine::run() {
  if (byte() != 0x80) {
    fail("does not start as a pickle of protocol 2 or later does");
  }
  if (const uint8_t protocol = byte(); protocol < 2 || protocol > newest_protocol) {
    fail(fmt::format("is a pickle of protocol {}; expected 2 to {}", protocol, newest_protocol));
  }
  while (!stopped_) {
    step(byte());
  }
  pickle_.root_ = pop();
  if (!stack_.empty() || at_ != content().size()) {
    fail("has bytes after its end");
  }
}

std::vector<uint32_t> PickleMachine::pop_to_mark() {
  if (marks_.empty()) {
    fail("goes back to a mark that is not there");
  }
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<uint32_t> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleMachine::append(PickleKind kind, const std::vector<uint32_t>& items) {
  if (kind == PickleKind::dict && items.size() % 2 != 0) {
    fail("has a key without a value");
  }
  PickleValue& collection = top(kind);
  collection.items.insert(collection.items.end(), items.begin(), items.end());
}

void PickleMachine::push_tuple_of(size_t count) {
  std::vector<uint32_t> items(count);
  for (size_t i = count; i > 0; --i) {
    items[i - 1] = pop();
  }
  push_collection(PickleKind::tuple, std::move(items));
}

void PickleMachine::remember(uint64_t index) {
  if (memo_.size() >= most_values) {
    fail("remembers more values than anything that is read here");
  }
  const uint32_t place = pop();
  stack_.push_back(place);
  memo_[index] = place;
}

void PickleMachine::recall(uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) {
    fail(fmt::format("recalls value {}, which it did not remember", index));
  }
  push(found->second);
}

void PickleMachine::step(uint8_t operation) {
  if (!step_value(operation) && !step_collection(operation) && !step_stack(operation)) {
    fail(
        fmt::format("has the operation 0x{:02x}, which no pickle of plain values and arrays "
                    "needs",
                    operation));
  }
}

bool PickleMachine::step_value(uint8_t operation) {
  switch (operation) {
    case 'N':
      push_new(PickleKind::none);
      return true;
    case 0x88:
    case 0x89:
      push_integer(PickleKind::boolean, operation == 0x88 ? 1 : 0);
      return true;
    case 'K':
      push_integer(PickleKind::integer, byte());
      return true;
    case 'M':
      push_integer(PickleKind::integer, static_cast<int64_t>(number(2)));
      return true;
    case 'J':
      push_integer(PickleKind::integer, static_cast<int32_t>(number(4)));
      return true;
    case 0x8A:
      push_long();
      return true;
    case 'G':
      push_real();
      return true;
    default:
      return step_bytes(operation);
  }
}

void PickleMachine::push_long() {
  const size_t size = byte();
  if (size > 8) {
    fail("has an integer of more than 64 bits");
  }
  uint64_t bits = number(size);
  if (size > 0 && size < 8 && (bits >> (8 * size - 1)) != 0) {
    bits |= ~uint64_t{0} << (8 * size);
  }
  push_integer(PickleKind::integer, static_cast<int64_t>(bits));
}

void PickleMachine::push_real() {
  uint64_t bits = 0;
  for (const char c : take(8)) {
    bits = bits << 8 | static_cast<uint8_t>(c);
  }
  push_new(PickleKind::real).real = std::bit_cast<double>(bits);
}

bool PickleMachine::step_bytes(uint8_t operation) {
  switch (operation) {
    case 'U':
    case 'C':
      push_bytes(PickleKind::bytes, take(byte()));
      return true;
    case 'T':
    case 'B':
      push_bytes(PickleKind::bytes, take(number(4)));
      return true;
    case 0x8E:
      push_bytes(PickleKind::bytes, take(number(8)));
      return true;
    case 0x8C:
      push_bytes(PickleKind::text, take(byte()));
      return true;
    case 'X':
      push_bytes(PickleKind::text, take(number(4)));
      return true;
    case 0x8D:
      push_bytes(PickleKind::text, take(number(8)));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_collection(uint8_t operation) {
  switch (operation) {
    case '}':
      push_new(PickleKind::dict);
      return true;
    case ']':
      push_new(PickleKind::list);
      return true;
    case ')':
      push_new(PickleKind::tuple);
      return true;
    case 't':
      push_collection(PickleKind::tuple, pop_to_mark());
      return true;
    case 'l':
      push_collection(PickleKind::list, pop_to_mark());
      return true;
    case 0x85:
    case 0x86:
    case 0x87:
      push_tuple_of(operation - 0x84U);
      return true;
    case 'a':
      append(PickleKind::list, {pop()});
      return true;
    case 'e':
      append(PickleKind::list, pop_to_mark());
      return true;
    case 's': {
      const uint32_t entry = pop();
      const uint32_t key = pop();
      append(PickleKind::dict, {key, entry});
      return true;
    }
    case 'u':
      append(PickleKind::dict, pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_stack(uint8_t operation) {
  switch (operation) {
    case '.':
      stopped_ = true;
      return true;
    case '(':
      if (marks_.size() >= most_values) {
        fail("has more marks than anything that is read here");
      }
      marks_.push_back(stack_.size());
      return true;
    case '0':
      pop();
      return true;
    case 0x95:  // FRAME: a hint to read ahead
      number(8);
      return true;
    case 'q':
      remember(byte());
      return true;
    case 'r':
      remember(number(4));
      return true;
    case 0x94:
      remember(memo_.size());
      return true;
    case 'h':
      recall(byte());
      return true;
    case 'j':
      recall(number(4));
      return true;
    case 'c': {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case 0x93:
      push_stack_global();
      return true;
    case 'R':
      reduce();
      return true;
    case 'b':
      build();
      return true;
    default:
      return false;
  }
}

}  // namespace bissl
