#include "pickle_reader.h"

#include "file_access.h"
#include "pickle_machine.h"

#include "bissl/error.h"

namespace bissl {
namespace {

constexpr uint64_t largest_pickle = uint64_t{1} << 30;

}  // namespace

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
