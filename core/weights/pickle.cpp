#include "weights/pickle.h"

#include "bissl/error.h"
#include "weights/byte_reader.h"
#include "weights/pickle_opcodes.h"
#include "weights/torch_globals.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <system_error>
#include <unordered_map>

namespace bissl::host {
namespace {

constexpr size_t most_values = 4'000'000;
constexpr size_t longest_name = 1000;  ///< of a class
constexpr size_t deepest = 1000;       ///< open lists, tuples and dictionaries

/// The pickle machine: a stack of values, places on it that were marked, values by number.
class Unpickler {
 public:
  explicit Unpickler(std::string_view bytes) : bytes_(bytes, "the pickle"), objects_(tree_) {}

  PickleTree run() {
    if (bytes_.left() < 2 || bytes_.number<uint8_t>() != op_proto) {
      fail_input("it does not begin as a pickle of protocol 2 or later does");
    }
    const int protocol = bytes_.number<uint8_t>();
    if (protocol < 2 || protocol > 5) {
      fail_input("it is a pickle of protocol {}; 2 to 5 are read", protocol);
    }
    while (true) {
      const size_t place = bytes_.position();
      const auto opcode = bytes_.number<uint8_t>();
      if (opcode == op_stop) {
        tree_.root = pop();
        tree_.consumed = bytes_.position();
        return std::move(tree_);
      }
      if (!constant(opcode) && !container(opcode) && !object(opcode) && !stack(opcode)) {
        fail_input("byte {} of the pickle is 0x{:02x}, an instruction that torch.save never writes",
                   place, opcode);
      }
    }
  }

 private:
  bool constant(uint8_t opcode);
  bool text(uint8_t opcode);
  bool container(uint8_t opcode);
  bool object(uint8_t opcode);
  bool stack(uint8_t opcode);

  PickleId add(PickleValue value) {
    if (tree_.values.size() >= most_values) {
      fail_input("the pickle holds more than {} values", most_values);
    }
    tree_.values.push_back(std::move(value));
    return static_cast<PickleId>(tree_.values.size() - 1);
  }
  void push(PickleValue value) { stack_.push_back(add(std::move(value))); }
  void push_list(std::vector<PickleId> items) {
    push({.kind = PickleKind::list, .items = std::move(items)});
  }
  void push_text(std::string_view text) {
    push({.kind = PickleKind::text, .text = std::string(text)});
  }
  void push_bytes(std::string_view bytes) {
    push({.kind = PickleKind::bytes, .text = std::string(bytes)});
  }
  void push_global(std::string_view module, std::string_view name) {
    if (module.size() + name.size() > longest_name) {
      fail_input("the pickle names a class of more than {} characters, before its byte {}",
                 longest_name, bytes_.position());
    }
    objects_.count_name(module.size() + name.size());
    push({.kind = PickleKind::global, .text = std::string(module) + "." + std::string(name)});
  }
  void push_integer(int64_t value) { push({.kind = PickleKind::integer, .integer = value}); }
  void push_long(std::string_view bytes);
  void push_decimal(std::string_view text);

  PickleId pop() {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) {
      fail_input("the pickle takes a value where there is none, before its byte {}",
                 bytes_.position());
    }
    const PickleId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  PickleId top() {
    const PickleId id = pop();
    stack_.push_back(id);
    return id;
  }
  /// The values since the last mark, which is taken away.
  std::vector<PickleId> pop_marked() {
    if (marks_.empty()) {
      fail_input("the pickle closes a list that it has not begun, before its byte {}",
                 bytes_.position());
    }
    std::vector<PickleId> values(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                                 stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return values;
  }
  std::vector<PickleId> pop_several(size_t count) {
    std::vector<PickleId> values(count);
    for (size_t i = count; i > 0; --i) {
      values[i - 1] = pop();
    }
    return values;
  }
  void put_items(PickleId target, const std::vector<PickleId>& items, PickleKind kind);
  void get(uint32_t number);
  void put(uint32_t number) { memo_[number] = top(); }

  ByteReader bytes_;
  PickleTree tree_;
  TorchObjects objects_;
  std::vector<PickleId> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, PickleId> memo_;
};

void Unpickler::push_long(std::string_view bytes) {
  if (bytes.size() > sizeof(int64_t)) {
    push_bytes(bytes);
    return;
  }
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  const size_t bits = 8 * bytes.size();
  if (bits > 0 && bits < 64 && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0) {
    value |= ~uint64_t{0} << bits;  // two's complement
  }
  push_integer(static_cast<int64_t>(value));
}

/// Python 2 writes an integer of more than 32 bits as text, in protocol 2, too.
void Unpickler::push_decimal(std::string_view text) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    fail_input("the pickle has an integer that is no number of 64 bits, before its byte {}",
               bytes_.position());
  }
  push_integer(value);
}

void Unpickler::get(uint32_t number) {
  const auto found = memo_.find(number);
  if (found == memo_.end()) {
    fail_input("the pickle asks for value {}, which it has not kept, before its byte {}", number,
               bytes_.position());
  }
  stack_.push_back(found->second);
}

/// Appends to a list or a dict; to an opaque value nothing. Others take no items.
void Unpickler::put_items(PickleId target, const std::vector<PickleId>& items, PickleKind kind) {
  PickleValue& value = tree_.values[target];
  if (value.kind == PickleKind::opaque) {
    return;
  }
  if (value.kind != kind || (kind == PickleKind::dict && items.size() % 2 != 0)) {
    fail_input("the pickle adds to a value that is no {}, before its byte {}",
               kind == PickleKind::dict ? "dictionary" : "list", bytes_.position());
  }
  value.items.insert(value.items.end(), items.begin(), items.end());
}

bool Unpickler::constant(uint8_t opcode) {
  switch (opcode) {
    case op_none:
      push({});
      return true;
    case op_new_true:
    case op_new_false:
      push({.kind = PickleKind::boolean, .integer = opcode == op_new_true ? 1 : 0});
      return true;
    case op_bin_int:
      push_integer(bytes_.number<int32_t>());
      return true;
    case op_bin_int1:
      push_integer(bytes_.number<uint8_t>());
      return true;
    case op_bin_int2:
      push_integer(bytes_.number<uint16_t>());
      return true;
    case op_int:
      push_decimal(bytes_.line());
      return true;
    case op_long1:
      push_long(bytes_.take(bytes_.number<uint8_t>()));
      return true;
    case op_long4:
      push_long(bytes_.take(bytes_.number<uint32_t>()));
      return true;
    case op_bin_float: {
      const uint64_t big_endian = bytes_.number<uint64_t>();
      push(
          {.kind = PickleKind::real, .real = std::bit_cast<double>(__builtin_bswap64(big_endian))});
      return true;
    }
    default:
      return text(opcode);
  }
}

bool Unpickler::text(uint8_t opcode) {
  switch (opcode) {
    case op_short_bin_unicode:
    case op_short_bin_string:  // Python 2 saved its texts so
      push_text(bytes_.take(bytes_.number<uint8_t>()));
      return true;
    case op_bin_unicode:
    case op_bin_string:
      push_text(bytes_.take(bytes_.number<uint32_t>()));
      return true;
    case op_bin_unicode8:
      push_text(bytes_.take(bytes_.number<uint64_t>()));
      return true;
    case op_short_bin_bytes:
      push_bytes(bytes_.take(bytes_.number<uint8_t>()));
      return true;
    case op_bin_bytes:
      push_bytes(bytes_.take(bytes_.number<uint32_t>()));
      return true;
    case op_bin_bytes8:
    case op_byte_array8:
      push_bytes(bytes_.take(bytes_.number<uint64_t>()));
      return true;
    default:
      return false;
  }
}

bool Unpickler::container(uint8_t opcode) {
  switch (opcode) {
    case op_empty_list:
    case op_empty_tuple:
    case op_empty_set:
      push_list({});
      return true;
    case op_empty_dict:
      push({.kind = PickleKind::dict});
      return true;
    case op_tuple:
    case op_list:
    case op_frozen_set:
      push_list(pop_marked());
      return true;
    case op_dict: {
      push({.kind = PickleKind::dict});
      const PickleId dict = pop();
      put_items(dict, pop_marked(), PickleKind::dict);
      stack_.push_back(dict);
      return true;
    }
    case op_tuple1:
    case op_tuple2:
    case op_tuple3:
      push_list(pop_several(static_cast<size_t>(opcode - op_tuple1) + 1));
      return true;
    case op_append: {
      const PickleId item = pop();
      put_items(top(), {item}, PickleKind::list);
      return true;
    }
    case op_set_item: {
      const std::vector<PickleId> pair = pop_several(2);
      put_items(top(), pair, PickleKind::dict);
      return true;
    }
    case op_appends:
    case op_add_items:
    case op_set_items: {
      const std::vector<PickleId> items = pop_marked();
      put_items(top(), items, opcode == op_set_items ? PickleKind::dict : PickleKind::list);
      return true;
    }
    default:
      return false;
  }
}

bool Unpickler::object(uint8_t opcode) {
  switch (opcode) {
    case op_global: {
      const std::string_view module = bytes_.line();
      push_global(module, bytes_.line());
      return true;
    }
    case op_stack_global: {
      const std::vector<PickleId> names = pop_several(2);
      const PickleValue& module = tree_.values[names[0]];
      const PickleValue& name = tree_.values[names[1]];
      if (module.kind != PickleKind::text || name.kind != PickleKind::text) {
        fail_input("the pickle names a class by something else than texts, before its byte {}",
                   bytes_.position());
      }
      push_global(module.text, name.text);
      return true;
    }
    case op_reduce:
    case op_new_obj: {
      const std::vector<PickleId> call = pop_several(2);
      push(objects_.make(call[0], call[1]));
      return true;
    }
    case op_new_obj_ex: {
      const std::vector<PickleId> call = pop_several(3);
      push(objects_.make_opaque(call[0]));
      return true;
    }
    case op_build:
      // The state of an ordered dictionary is the versions of modules; no other value has one that
      // counts.
      pop();
      top();
      return true;
    case op_bin_persid:
      push(objects_.storage(pop()));
      return true;
    default:
      return false;
  }
}

bool Unpickler::stack(uint8_t opcode) {
  switch (opcode) {
    case op_mark:
      if (marks_.size() >= deepest) {
        fail_input("the pickle nests its values more than {} deep", deepest);
      }
      marks_.push_back(stack_.size());
      return true;
    case op_pop:
      if (!marks_.empty() && marks_.back() == stack_.size()) {
        marks_.pop_back();
      } else {
        pop();
      }
      return true;
    case op_pop_mark:
      pop_marked();
      return true;
    case op_dup:
      stack_.push_back(top());
      return true;
    case op_bin_get:
      get(bytes_.number<uint8_t>());
      return true;
    case op_long_bin_get:
      get(bytes_.number<uint32_t>());
      return true;
    case op_bin_put:
      put(bytes_.number<uint8_t>());
      return true;
    case op_long_bin_put:
      put(bytes_.number<uint32_t>());
      return true;
    case op_memoize:
      put(static_cast<uint32_t>(memo_.size()));
      return true;
    case op_proto:
      bytes_.take(1);
      return true;
    case op_frame:
      bytes_.take(8);
      return true;
    default:
      return false;
  }
}

}  // namespace

const PickleValue* PickleTree::find(const PickleValue& dict, std::string_view key) const {
  if (dict.kind != PickleKind::dict) {
    return nullptr;
  }
  for (size_t i = dict.items.size(); i >= 2; i -= 2) {
    const PickleValue& name = values[dict.items[i - 2]];
    if (name.kind == PickleKind::text && name.text == key) {
      return &values[dict.items[i - 1]];
    }
  }
  return nullptr;
}

PickleTree read_pickle(std::string_view bytes) { return Unpickler(bytes).run(); }

}  // namespace bissl::host
