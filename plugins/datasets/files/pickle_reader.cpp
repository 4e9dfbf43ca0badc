#include "pickle_reader.h"

#include "file_access.h"

#include "bissl/error.h"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <unordered_map>
#include <utility>

namespace bissl {
namespace {

constexpr uint64_t largest_pickle = uint64_t{1} << 30;
/// Of values, of entries of the memo and of places of the stack: CIFAR-100 has about 200,000.
constexpr size_t most_values = size_t{1} << 22;
constexpr uint8_t newest_protocol = 4;
constexpr size_t most_dimensions = 32;

/// What the globals that may be called are. NumPy 2 moved a module.
constexpr std::string_view reconstruct = "numpy.core.multiarray _reconstruct";
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> allowed{
    {{"numpy.core.multiarray _reconstruct", reconstruct},
     {"numpy._core.multiarray _reconstruct", reconstruct},
     {"numpy ndarray", "numpy ndarray"},
     {"numpy dtype", "numpy dtype"},
     {"_codecs encode", "_codecs encode"}}};

bool is_text(const PickleValue& value) {
  return value.kind == PickleKind::text || value.kind == PickleKind::bytes;
}

/// A name from the file as it may stand in a message.
std::string printable(std::string_view text) {
  std::string shown(text.substr(0, 100));
  std::replace_if(
      shown.begin(), shown.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return shown;
}

}  // namespace

/// Carries the operations out, on a stack of values as Python's unpickler has one.
class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, std::string file) : pickle_(pickle), file_(std::move(file)) {}

  void run() {
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

 private:
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
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) {
      fail("goes back to a mark that is not there");
    }
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<uint32_t> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
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

  void append(PickleKind kind, const std::vector<uint32_t>& items) {
    if (kind == PickleKind::dict && items.size() % 2 != 0) {
      fail("has a key without a value");
    }
    PickleValue& collection = top(kind);
    collection.items.insert(collection.items.end(), items.begin(), items.end());
  }
  void push_collection(PickleKind kind, std::vector<uint32_t> items) {
    push_new(kind).items = std::move(items);
  }
  void push_tuple_of(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i > 0; --i) {
      items[i - 1] = pop();
    }
    push_collection(PickleKind::tuple, std::move(items));
  }

  void remember(uint64_t index) {
    if (memo_.size() >= most_values) {
      fail("remembers more values than anything that is read here");
    }
    const uint32_t place = pop();
    stack_.push_back(place);
    memo_[index] = place;
  }
  void recall(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) {
      fail(fmt::format("recalls value {}, which it did not remember", index));
    }
    push(found->second);
  }

  void push_global(std::string_view module, std::string_view name) {
    const std::string whole = fmt::format("{} {}", module, name);
    const auto* const known = std::find_if(allowed.begin(), allowed.end(),
                                           [&](const auto& one) { return one.first == whole; });
    if (known == allowed.end()) {
      fail(
          fmt::format("wants {}.{}, which is refused: nothing in a pickle is executed, and only "
                      "NumPy arrays and plain values are read",
                      printable(module), printable(name)));
    }
    push_bytes(PickleKind::global, known->second);
  }
  void push_stack_global() {
    const uint32_t name = pop();
    const uint32_t module = pop();
    if (!is_text(value(name)) || !is_text(value(module))) {
      fail("names a global by what is no text");
    }
    push_global(value(module).bytes, value(name).bytes);
  }

  /// A call of an allowed name.
  void reduce() {
    const std::vector<uint32_t>& given = value(require(pop(), PickleKind::tuple)).items;
    // A copy of no more than is needed: one long tuple may be named by very many calls.
    const std::vector<uint32_t> arguments(
        given.begin(), given.begin() + std::min<std::ptrdiff_t>(3, std::ssize(given)));
    const std::string_view callee = value(require(pop(), PickleKind::global)).bytes;
    if (callee == reconstruct) {
      push_new(PickleKind::array);
    } else if (callee == "numpy dtype" && !arguments.empty() && is_text(value(arguments[0]))) {
      push_bytes(PickleKind::element, value(arguments[0]).bytes);
    } else if (callee == "_codecs encode" && arguments.size() == 2 &&
               value(arguments[0]).kind == PickleKind::text &&
               value(arguments[1]).bytes == "latin1") {
      push_bytes(PickleKind::bytes, latin1(value(arguments[0]).bytes));
    } else {
      fail(fmt::format("calls {} in a way that is not known", callee));
    }
  }
  uint32_t require(uint32_t place, PickleKind kind) const {
    if (pickle_.values_[place].kind != kind) {
      fail("calls what cannot be called");
    }
    return place;
  }

  /// Bytes that are written as text of the characters 0 to 255, in UTF-8.
  std::string_view latin1(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size());
    // Each text needs to be decoded once. One that is decoded over and over would fill the memory.
    decoded_bytes_ += text.size();
    if (decoded_bytes_ > content().size()) {
      fail("spells more bytes as text than it has");
    }
    for (size_t i = 0; i < text.size(); ++i) {
      const auto lead = static_cast<uint8_t>(text[i]);
      if (lead < 0x80) {
        bytes += text[i];
        continue;
      }
      const auto next = i + 1 < text.size() ? static_cast<uint8_t>(text[i + 1]) : uint8_t{0};
      if ((lead != 0xC2 && lead != 0xC3) || (next & 0xC0) != 0x80) {
        fail("has bytes that are not spelt in Latin-1");
      }
      bytes += static_cast<char>((lead & 0x03) << 6 | (next & 0x3F));
      ++i;
    }
    return pickle_.decoded_.emplace_back(std::move(bytes));
  }

  /// The state of an array or of a dtype.
  void build() {
    const uint32_t state = pop();
    const uint32_t object = pop();
    push(object);
    if (value(object).kind == PickleKind::element) {
      return;  // byte order and the like: "u1" has none, and no other is read
    }
    if (value(object).kind != PickleKind::array || value(state).kind != PickleKind::tuple) {
      fail("sets the state of what is no array");
    }
    const std::vector<uint32_t>& parts = value(state).items;
    if (parts.size() != 5 || value(parts[1]).items.size() > most_dimensions ||
        value(parts[1]).kind != PickleKind::tuple || value(parts[2]).kind != PickleKind::element ||
        value(parts[4]).kind != PickleKind::bytes) {
      fail("has an array without shape, type and bytes");
    }
    if (value(parts[3]).integer != 0) {
      fail("has an array in Fortran's order; expected C's");
    }
    PickleValue& array = value(object);
    array.items = value(parts[1]).items;
    array.element_type = value(parts[2]).bytes;
    array.bytes = value(parts[4]).bytes;
  }

  void step(uint8_t operation) {
    if (!step_value(operation) && !step_collection(operation) && !step_stack(operation)) {
      fail(
          fmt::format("has the operation 0x{:02x}, which no pickle of plain values and arrays "
                      "needs",
                      operation));
    }
  }

  bool step_value(uint8_t operation) {
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
  /// LONG1: a little-endian number in two's complement.
  void push_long() {
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
  /// BINFLOAT: a big-endian double.
  void push_real() {
    uint64_t bits = 0;
    for (const char c : take(8)) {
      bits = bits << 8 | static_cast<uint8_t>(c);
    }
    push_new(PickleKind::real).real = std::bit_cast<double>(bits);
  }

  bool step_bytes(uint8_t operation) {
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

  bool step_collection(uint8_t operation) {
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

  bool step_stack(uint8_t operation) {
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

  Pickle& pickle_;
  std::string file_;
  size_t at_ = 0;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
  size_t decoded_bytes_ = 0;
  bool stopped_ = false;
};

Pickle::Pickle(const std::filesystem::path& file)
    : content_(read_whole_file(file, largest_pickle)) {
  PickleMachine(*this, file.string()).run();
}

const PickleValue* Pickle::find(const PickleValue& dict, std::string_view key) const {
  if (dict.kind != PickleKind::dict) {
    return nullptr;
  }
  const PickleValue* found = nullptr;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& name = values_[dict.items[i]];
    if (is_text(name) && name.bytes == key) {
      found = &values_[dict.items[i + 1]];  // as in Python, a later entry replaces an earlier one
    }
  }
  return found;
}

std::vector<int64_t> Pickle::integers(const PickleValue& value, const std::string& what) const {
  if (value.kind == PickleKind::array && value.element_type == "u1") {
    std::vector<int64_t> numbers;
    for (const char c : value.bytes) {
      numbers.push_back(static_cast<uint8_t>(c));
    }
    return numbers;
  }
  if (value.kind != PickleKind::list && value.kind != PickleKind::tuple) {
    fail_input("{} are no list of integers", what);
  }
  std::vector<int64_t> numbers;
  for (const uint32_t place : value.items) {
    if (values_[place].kind != PickleKind::integer) {
      fail_input("{} are no list of integers: entry {} is none", what, numbers.size());
    }
    numbers.push_back(values_[place].integer);
  }
  return numbers;
}

std::vector<std::string> Pickle::texts(const PickleValue& value, const std::string& what) const {
  if (value.kind != PickleKind::list && value.kind != PickleKind::tuple) {
    fail_input("{} are no list of texts", what);
  }
  std::vector<std::string> names;
  size_t bytes = 0;  // a list may have one long text very often
  for (const uint32_t place : value.items) {
    if (!is_text(values_[place])) {
      fail_input("{} are no list of texts: entry {} is none", what, names.size());
    }
    bytes += values_[place].bytes.size();
    if (bytes > content_.size()) {
      fail_input("{} have more bytes than their file: a text in it occurs many times", what);
    }
    names.emplace_back(values_[place].bytes);
  }
  return names;
}

}  // namespace bissl
