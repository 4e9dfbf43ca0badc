#include "base/json_file.h"

#include "base/exception_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"

namespace bissl::host {

nlohmann::json read_json_file(const std::filesystem::path& file, uint64_t most_bytes) {
  const std::string text = read_whole(file, most_bytes);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail_input("{} is not what this program writes: {}", file.string(), exception_text(error));
  }
}

}  // namespace bissl::host
