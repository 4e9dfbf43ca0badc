#include "support/paths.h"
#include "support/temporary_folder.h"
#include "targets.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class Corpus : public testing::TestWithParam<FuzzTarget> {};

/// Inputs that a fuzz target has to survive: seeds, and whatever it once did not. Each is also
/// tried cut short and with single bytes changed, which is what a fuzzer would begin with.
TEST_P(Corpus, IsReadOrRefused) {
  const FuzzTarget& target = GetParam();
  const fs::path folder = fs::path(source_folder) / "tests/fuzz/corpus" / target.name;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_GE(files.size(), 3U) << folder;
  for (const fs::path& file : files) {
    SCOPED_TRACE(file.filename().string());
    const std::string bytes = read_file(file);
    EXPECT_NO_THROW(target.run(bytes));
    const size_t stride = std::max<size_t>(1, bytes.size() / 24);
    for (size_t at = 0; at < bytes.size(); at += stride) {
      EXPECT_NO_THROW(target.run(std::string_view(bytes).substr(0, at))) << "cut at " << at;
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 0x15);
      EXPECT_NO_THROW(target.run(changed)) << "changed at " << at;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Corpus, testing::ValuesIn(fuzz_targets()),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace bissl::host::test
