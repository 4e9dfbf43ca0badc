#include "base/json_file.h"

#include "base/exception_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"

namespace bissl::host {

nlohmann::json read_json_file(const std::filesystem::path& file) {
  const std::string text = read_whole(file, most_json_bytes);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail_input("{} is not what this program writes: {}", file.string(), exception_text(error));
  }
}

nlohmann::json parse_json_file(const std::filesystem::path& file) {
  return nlohmann::json::parse(read_whole(file, most_json_bytes), nullptr,
                               /*allow_exceptions=*/false);
}

std::optional<nlohmann::json> read_json_if_there(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    return std::nullopt;
  }
  try {
    nlohmann::json content = parse_json_file(file);
    return content.is_object() ? std::optional(std::move(content)) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // removed by another process at this moment
  }
}

std::string text_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace bissl::host
