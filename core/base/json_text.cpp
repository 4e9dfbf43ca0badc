#include "base/json_text.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>

namespace bissl::host {
namespace {

using nlohmann::json;

/// Cleans a member of an object, or an item of a list in one; `path` leads to it from that object.
/// What was taken out is added to `found`.
void take_out(json& value, const std::string& path, json& found);

void take_out_of_object(json& object) {
  json found = json::object();
  for (auto& [key, value] : object.items()) {
    take_out(value, key, found);
  }
  if (!found.empty()) {
    json& reasons = object[not_finite_key];
    reasons = reasons.is_object() ? reasons : json::object();
    reasons.update(found);
  }
}

void take_out(json& value, const std::string& path, json& found) {
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    if (!std::isfinite(number)) {
      found[path] = name_of_non_finite(number);
      value = nullptr;
    }
  } else if (value.is_object()) {
    take_out_of_object(value);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      take_out(value[i], fmt::format("{}/{}", path, i), found);
    }
  }
}

std::optional<double> number_named(const json& name) {
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    if (name.is_string() && name.get_ref<const std::string&>() == name_of_non_finite(value)) {
      return value;
    }
  }
  return std::nullopt;
}

/// The null that `path` leads to from the object, or nullptr.
json* find_null(json& object, const std::string& path) {
  const auto direct = object.find(path);
  if (direct != object.end()) {
    return direct->is_null() ? &*direct : nullptr;
  }
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return nullptr;
  }
  // From the outside in: the first part is a key, the others are places in lists.
  std::string key = path.substr(0, slash);
  std::vector<size_t> places = {std::strtoull(path.c_str() + slash + 1, nullptr, 10)};
  while (!object.contains(key)) {
    const size_t next = key.rfind('/');
    if (next == std::string::npos) {
      return nullptr;
    }
    places.insert(places.begin(), std::strtoull(key.c_str() + next + 1, nullptr, 10));
    key.resize(next);
  }
  json* node = &object[key];
  for (const size_t place : places) {
    if (!node->is_array() || place >= node->size()) {
      return nullptr;
    }
    node = &(*node)[place];
  }
  return node->is_null() ? node : nullptr;
}

void put_back(json& value) {
  if (!value.is_structured()) {
    return;
  }
  if (value.is_object() && value.contains(not_finite_key) && value[not_finite_key].is_object()) {
    json left = json::object();
    const json reasons = value[not_finite_key];
    for (const auto& [path, name] : reasons.items()) {
      const std::optional<double> number = number_named(name);
      json* place = number ? find_null(value, path) : nullptr;
      if (place != nullptr) {
        *place = *number;
      } else {
        left[path] = name;
      }
    }
    if (left.empty()) {
      value.erase(not_finite_key);
    } else {
      value[not_finite_key] = left;
    }
  }
  for (json& item : value) {
    put_back(item);
  }
}

}  // namespace

const char* name_of_non_finite(double value) {
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

json finite_json(json value) {
  json unnamed;  // a number or a list that no object holds has nothing beside it
  take_out(value, "", unnamed);
  return value;
}

json with_non_finite(json value) {
  put_back(value);
  return value;
}

std::string json_text(const json& value, int indent) {
  return finite_json(value).dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string number_or_not_finite(const json& number, int digits) {
  return number.is_number() ? fmt::format("{:.{}f}", number.get<double>(), digits) : "not finite";
}

bool is_utf8(const std::string& text) {
  try {
    json(text).dump();
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

}  // namespace bissl::host
