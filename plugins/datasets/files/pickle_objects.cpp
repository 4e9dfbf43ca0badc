// What a pickle may make objects of: the few names that may be called, arrays and their types.

#include "pickle_machine.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace bissl {
namespace {

constexpr size_t most_dimensions = 32;

/// What the globals that may be called are. NumPy 2 moved a module.
constexpr std::string_view reconstruct = "numpy.core.multiarray _reconstruct";
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> allowed{
    {{"numpy.core.multiarray _reconstruct", reconstruct},
     {"numpy._core.multiarray _reconstruct", reconstruct},
     {"numpy ndarray", "numpy ndarray"},
     {"numpy dtype", "numpy dtype"},
     {"_codecs encode", "_codecs encode"}}};

/// A name from the file as a message may quote it.
std::string printable(std::string_view text) {
  std::string shown(text.substr(0, 100));
  std::replace_if(
      shown.begin(), shown.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return shown;
}

}  // namespace

void PickleMachine::push_global(std::string_view module, std::string_view name) {
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

void PickleMachine::push_stack_global() {
  const uint32_t name = pop();
  const uint32_t module = pop();
  if (!is_text(value(name)) || !is_text(value(module))) {
    fail("names a global by what is no text");
  }
  push_global(value(module).bytes, value(name).bytes);
}

void PickleMachine::reduce() {
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

uint32_t PickleMachine::require(uint32_t place, PickleKind kind) const {
  if (pickle_.values_[place].kind != kind) {
    fail("calls what cannot be called");
  }
  return place;
}

std::string_view PickleMachine::latin1(std::string_view text) {
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

void PickleMachine::build() {
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

}  // namespace bissl
