// Libraries that are stripped, and libraries whose file changes while they are in use.

#include "fixtures.h"
#include "plugins/elf.h"
#include "support/temporary_folder.h"

#include "bissl/hypergradient.h"

#include <fmt/format.h>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

TEST(StrippedLibrary, LoadsLikeAnyOther) {
  for (const bool trusted : {false, true}) {
    Registry registry;
    EXPECT_TRUE(registry.load_library(fixture("stripped"), trusted));
    EXPECT_TRUE(registry.report().problems.empty());
    EXPECT_NE(registry.find(ComponentKind::hypergradient, "halve"), nullptr);
  }
}

TEST(ExportedSymbols, AreThoseThatOthersSee) {
  EXPECT_EQ(exported_symbols(fixture("good")), std::vector<std::string>{"bissl_plugin_entry"});
  EXPECT_EQ(exported_symbols(fixture("stripped")), std::vector<std::string>{"bissl_plugin_entry"});
  const fs::path sdk = fs::path(build_folder) / "lib/libbissl_sdk.so";
  EXPECT_GT(exported_symbols(sdk).size(), 20U);
}

class LibraryInUse : public testing::Test {
 protected:
  LibraryInUse() {
    fs::copy(fixture("good"), file_);
    EXPECT_TRUE(registry_.load_library(file_, /*trusted=*/true));
  }

  const LibraryIdentity& library() const { return registry_.libraries().at(0); }

  /// The component works as it did, whatever became of the file.
  void expect_still_working() const {
    const auto component = registry_.find(ComponentKind::hypergradient, "halve");
    const ComponentChoice choice{component, defaults(component->info.parameters), "test"};
    EXPECT_EQ(choice.create<Hypergradient>({})->needs().solve.products, 0);
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "good.so";
  Registry registry_;
};

TEST_F(LibraryInUse, StaysTheSameAsLongAsNobodyTouchesIt) {
  EXPECT_EQ(replacement_of(library()), "");
}

TEST_F(LibraryInUse, ReplacedByARenameIsNamedAndTheOldOneServes) {
  fs::copy(fixture("other_sdk"), folder_.path() / "new");
  fs::rename(folder_.path() / "new", file_);
  EXPECT_EQ(replacement_of(library()),
            fmt::format("{}: the library of plugin good 1.2.3 was replaced while it is in use; the "
                        "one that was loaded stays in use until the program ends. Start again to "
                        "use the new one",
                        file_.string()));
  expect_still_working();
  // Asked for again, it is the one that was loaded: a path is dealt with once.
  EXPECT_TRUE(registry_.load_library(file_, /*trusted=*/true));
  EXPECT_EQ(registry_.libraries().size(), 1U);
}

TEST_F(LibraryInUse, RemovedIsNamed) {
  fs::remove(file_);
  EXPECT_EQ(replacement_of(library()),
            fmt::format("{}: the library of plugin good 1.2.3 was removed while it is in use; the "
                        "one that was loaded stays in use until the program ends. It cannot be "
                        "loaded again",
                        file_.string()));
  expect_still_working();
}

}  // namespace
}  // namespace bissl::host::test
