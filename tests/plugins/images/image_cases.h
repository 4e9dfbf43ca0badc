#pragma once

#include "image_files.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host::test {

/// The folder of small image files that tests/reference/images.py made.
inline std::filesystem::path image_folder() {
  return std::filesystem::path(source_folder) / "tests/reference/golden/images";
}

/// What is known of them: the pixels that Pillow makes of each.
inline const nlohmann::json& image_cases() {
  static const auto cases = nlohmann::json::parse(read_file(image_folder() / "images.json"));
  return cases;
}

/// The options that go with one of the files.
inline ImageOptions options_of(const nlohmann::json& image) {
  ImageOptions options{.channels = "as-file"};
  if (image.contains("options")) {
    const nlohmann::json& given = image["options"];
    options.channels = given.value("channels", options.channels);
    options.range = given.value("range", options.range);
    options.bands = given.value("bands", options.bands);
  }
  return options;
}

/// The bytes of hexadecimal digits.
inline std::vector<uint8_t> from_hex(const std::string& digits) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

}  // namespace bissl::host::test
