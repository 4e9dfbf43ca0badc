#pragma once

#include "bissl/error.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

namespace bissl::host::test {

/// A file of the corpora of the fuzz targets, or a folder of them.
inline std::filesystem::path corpus(const std::string& name) {
  return std::filesystem::path(source_folder) / "tests/fuzz/corpus" / name;
}

/// What the refusal says, with the folder of the test as DIR.
inline std::string refusal_of(const std::function<void()>& read,
                              const std::filesystem::path& folder = {}) {
  try {
    read();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    std::string text = error.what();
    if (const size_t at = text.find(folder.string()); !folder.empty() && at == 0) {
      text.replace(at, folder.string().size(), "DIR");
    }
    return text;
  }
  return "no error";
}

/// Reads files that a test writes into a folder of its own.
class FileReaders : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& content) {
    write_file(folder_.path() / name, content);
    return folder_.path() / name;
  }
  std::string refusal(const std::function<void()>& read) {
    return refusal_of(read, folder_.path());
  }

  TemporaryFolder folder_;
};

}  // namespace bissl::host::test
