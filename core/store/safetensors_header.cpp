#include "store/safetensors_header.h"

#include "bissl/error.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

namespace bissl::host {
namespace {

struct TypeName {
  c10::ScalarType type;
  const char* name;
};

constexpr TypeName type_names[] = {
    {c10::ScalarType::Double, "F64"}, {c10::ScalarType::Float, "F32"},
    {c10::ScalarType::Half, "F16"},   {c10::ScalarType::BFloat16, "BF16"},
    {c10::ScalarType::Long, "I64"},   {c10::ScalarType::Int, "I32"},
    {c10::ScalarType::Short, "I16"},  {c10::ScalarType::Char, "I8"},
    {c10::ScalarType::Byte, "U8"},    {c10::ScalarType::Bool, "BOOL"},
};

constexpr const char* metadata_key = "__metadata__";
/// LibTorch's own limit for most operations.
constexpr size_t max_dimensions = 64;

/// Takes the header's JSON event by event. The format is two levels deep and each place allows one
/// kind of value, so a hostile text costs no more memory than the header that it claims to be, and
/// names that occur twice, which a parsed document would hide, are seen.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (depth_ == 0 || (depth_ == 1 && !list_)) {
      ++depth_;
      return true;
    }
    unexpected("an object");
  }

  bool end_object() override {
    if (depth_ == 2 && !in_metadata_) {
      finish_entry();
    }
    --depth_;
    in_metadata_ = false;
    return true;
  }

  bool key(string_t& name) override {
    key_ = name;
    if (depth_ == 1) {
      if (!names_.insert(name).second) {
        fail_input("the name {} occurs twice in the header", shown_name(name));
      }
      in_metadata_ = name == metadata_key;
      if (!in_metadata_) {
        entry_ = SafetensorsEntry();
        entry_.name = name;
        seen_.clear();
      }
    } else if (in_metadata_) {
      if (header_.metadata.count(name) != 0) {
        fail_input("the name {} occurs twice in the metadata", shown_name(name));
      }
    } else if (name != "dtype" && name != "shape" && name != "data_offsets") {
      fail_input("tensor {} has a field {}; known are dtype, shape and data_offsets",
                 shown_name(entry_.name), shown_name(name));
    } else if (!seen_.insert(name).second) {
      fail_input("tensor {} has its {} twice", shown_name(entry_.name), name);
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ == 2 && !in_metadata_ && !list_ && key_ != "dtype") {
      list_ = true;
      offsets_.clear();
      return true;
    }
    unexpected("a list");
  }

  bool end_array() override {
    list_ = false;
    if (key_ == "data_offsets") {
      if (offsets_.size() != 2) {
        fail_input("tensor {} has {} data_offsets instead of 2", shown_name(entry_.name),
                   offsets_.size());
      }
      entry_.begin = offsets_[0];
      entry_.end = offsets_[1];
    }
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      header_.metadata[key_] = value;
      return true;
    }
    if (depth_ == 2 && !list_ && key_ == "dtype") {
      entry_.type = type_of(value);
      return true;
    }
    unexpected("a text");
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (!list_) {
      unexpected("a number");
    }
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      fail_input("tensor {}: {} holds {}, which is out of range", shown_name(entry_.name), key_,
                 value);
    }
    if (key_ == "shape") {
      if (entry_.shape.size() == max_dimensions) {
        fail_input("tensor {} has more than {} dimensions", shown_name(entry_.name),
                   max_dimensions);
      }
      entry_.shape.push_back(static_cast<int64_t>(value));
    } else if (offsets_.size() < 3) {  // the third is there to be counted
      offsets_.push_back(value);
    }
    return true;
  }

  bool number_integer(number_integer_t value) override {
    if (!list_) {
      unexpected("a number");
    }
    fail_input("tensor {}: {} holds {}, which is negative", shown_name(entry_.name), key_, value);
  }

  bool number_float(number_float_t, const string_t& text) override {
    if (!list_) {
      unexpected("a number");
    }
    fail_input("tensor {}: {} holds {}, which is out of range or not an integer",
               shown_name(entry_.name), key_, text.substr(0, 40));
  }

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool binary(binary_t&) override { unexpected("binary data"); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    fail_input("the header is not valid JSON (at its byte {})", position);
  }

 private:
  c10::ScalarType type_of(const std::string& name) const {
    for (const TypeName& known : type_names) {
      if (name == known.name) {
        return known.type;
      }
    }
    std::string names;
    for (const TypeName& known : type_names) {
      names += names.empty() ? known.name : std::string(", ") + known.name;
    }
    fail_input("tensor {} has the dtype {}; known are {}", shown_name(entry_.name),
               shown_name(name), names);
  }

  void finish_entry() {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (seen_.count(field) == 0) {
        fail_input("tensor {} has no {}", shown_name(entry_.name), field);
      }
    }
    header_.entries.push_back(std::move(entry_));
  }

  [[noreturn]] void unexpected(const char* what) const {
    if (depth_ == 0) {
      fail_input("the header is {}, not an object", what);
    }
    if (in_metadata_) {
      fail_input("{} has {} where only texts may be", metadata_key, what);
    }
    if (depth_ == 1) {
      fail_input("tensor {} is {}, not an object", shown_name(entry_.name), what);
    }
    fail_input("tensor {}: {} is or holds {}", shown_name(entry_.name), key_, what);
  }

  SafetensorsHeader header_;
  SafetensorsEntry entry_;
  std::set<std::string> names_;
  std::set<std::string> seen_;     ///< fields of entry_
  std::vector<uint64_t> offsets_;  ///< of entry_
  std::string key_;
  int depth_ = 0;             ///< open objects
  bool list_ = false;         ///< within shape or data_offsets
  bool in_metadata_ = false;  ///< at or within __metadata__
};

/// Bytes of a dense tensor; none when they, or the strides of an empty one, overflow int64.
std::optional<uint64_t> bytes_of(const SafetensorsEntry& entry) {
  uint64_t product = c10::elementSize(entry.type);
  bool empty = false;
  for (const int64_t size : entry.shape) {
    if (size == 0) {
      empty = true;
    } else if (product > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) /
                             static_cast<uint64_t>(size)) {
      return std::nullopt;
    } else {
      product *= static_cast<uint64_t>(size);
    }
  }
  return empty ? 0 : product;
}

void check_range(const SafetensorsEntry& entry, uint64_t data_size) {
  const std::optional<uint64_t> bytes = bytes_of(entry);
  if (!bytes) {
    fail_input("tensor {} of shape [{}] is larger than any memory", shown_name(entry.name),
               fmt::join(entry.shape, ", "));
  }
  if (entry.begin > entry.end) {
    fail_input("tensor {} starts at byte {} and ends before, at {}", shown_name(entry.name),
               entry.begin, entry.end);
  }
  if (entry.end - entry.begin != *bytes) {
    fail_input("tensor {} has {} bytes, but its shape [{}] and dtype {} make {}",
               shown_name(entry.name), entry.end - entry.begin, fmt::join(entry.shape, ", "),
               safetensors_name(entry.type), *bytes);
  }
  if (entry.end > data_size) {
    fail_input(
        "tensor {} ends at byte {} of the data, but the file has only {}; it has been cut "
        "short",
        shown_name(entry.name), entry.end, data_size);
  }
}

/// The ranges, each checked by itself, must follow on one another.
void check_cover(const std::vector<SafetensorsEntry>& entries, uint64_t data_size) {
  std::vector<const SafetensorsEntry*> by_place;
  for (const SafetensorsEntry& entry : entries) {
    by_place.push_back(&entry);
  }
  std::sort(by_place.begin(), by_place.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t covered = 0;
  const SafetensorsEntry* before = nullptr;
  for (const SafetensorsEntry* entry : by_place) {
    if (entry->begin < covered) {
      fail_input("tensors {} and {} overlap", shown_name(before->name), shown_name(entry->name));
    }
    if (entry->begin > covered) {
      fail_input("bytes {} to {} of the data belong to no tensor", covered, entry->begin);
    }
    covered = entry->end;
    before = entry;
  }
  if (covered != data_size) {
    fail_input("the last {} bytes belong to no tensor", data_size - covered);
  }
}

}  // namespace

std::string shown_name(const std::string& name) {
  return nlohmann::json(name.substr(0, 200))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

const char* safetensors_name(c10::ScalarType type) {
  for (const TypeName& known : type_names) {
    if (known.type == type) {
      return known.name;
    }
  }
  return nullptr;
}

std::string format_safetensors_header(const SafetensorsHeader& header) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!header.metadata.empty()) {
    json[metadata_key] = header.metadata;
  }
  for (const SafetensorsEntry& entry : header.entries) {
    json[entry.name] = {{"dtype", safetensors_name(entry.type)},
                        {"shape", entry.shape},
                        {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text;
  try {
    text = json.dump();
  } catch (const nlohmann::json::exception&) {
    fail_run("a tensor's name or the metadata is not valid UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_size) {
  if (text.empty() || text.front() != '{') {
    fail_input("the header does not start with \"{{\"");
  }
  HeaderReader reader;
  nlohmann::json::sax_parse(text, &reader);
  SafetensorsHeader header = reader.take();
  for (const SafetensorsEntry& entry : header.entries) {
    check_range(entry, data_size);
  }
  check_cover(header.entries, data_size);
  return header;
}

}  // namespace bissl::host
