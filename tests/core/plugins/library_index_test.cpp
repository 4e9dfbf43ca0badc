#include "plugins/library_index.h"

#include "fixtures.h"
#include "support/temporary_folder.h"

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A folder with the fixture "good" as a.so, and a place for the record of it.
class LibraryIndexTest : public testing::Test {
 protected:
  LibraryIndexTest() { fs::copy_file(fixture("good"), library_); }

  IndexedLibrary indexed() const {
    return {{.path = library_.string(),
             .name = "good",
             .version = "1.2.3",
             .license = "MIT",
             .compiler = "gcc",
             .cxx_abi_version = 7,
             .file = stamp_of_file(library_.string()).value()},
            {{ComponentKind::hypergradient, "halve"}, {ComponentKind::optimizer, "still"}}};
  }
  bool is_known() const { return read_library_index(index_, {library_}).has_value(); }

  TemporaryFolder records_;
  TemporaryFolder folder_;
  fs::path library_ = folder_.path() / "a.so";
  fs::path index_ = records_.path() / "deep" / "index";
};

TEST_F(LibraryIndexTest, ComesBackAsItWasWritten) {
  EXPECT_FALSE(is_known());
  write_library_index(index_, {indexed()});
  const auto back = read_library_index(index_, {library_});
  ASSERT_TRUE(back);
  ASSERT_EQ(back->size(), 1U);
  const IndexedLibrary& one = back->front();
  EXPECT_EQ(one.components, indexed().components);
  EXPECT_EQ(one.library.path, library_.string());
  EXPECT_EQ(one.library.name, "good");
  EXPECT_EQ(one.library.version, "1.2.3");
  EXPECT_EQ(one.library.license, "MIT");
  EXPECT_EQ(one.library.compiler, "gcc");
  EXPECT_EQ(one.library.cxx_abi_version, 7U);
  EXPECT_EQ(one.library.file, indexed().library.file);
}

TEST_F(LibraryIndexTest, IsOfTheseFilesAlone) {
  write_library_index(index_, {indexed()});
  EXPECT_TRUE(is_known());
  EXPECT_FALSE(read_library_index(index_, {}));
  EXPECT_FALSE(read_library_index(index_, {library_, fixture("good")}));
  EXPECT_FALSE(read_library_index(index_, {fixture("good")}));
  fs::last_write_time(library_, fs::last_write_time(library_) + std::chrono::seconds(1));
  EXPECT_FALSE(is_known()) << "the library is newer";
  write_library_index(index_, {indexed()});
  EXPECT_TRUE(is_known());
  fs::remove(library_);
  EXPECT_FALSE(is_known());
}

TEST_F(LibraryIndexTest, AnythingElseInItsPlaceIsNone) {
  for (const char* text : {"", "{", "[]", "{}", R"({"format": 1, "libraries": 3})",
                           R"({"format": 1, "program": null, "libraries": [{"path": 4}]})"}) {
    fs::create_directories(index_.parent_path());
    write_file(index_, text);
    EXPECT_FALSE(is_known()) << text;
  }
}

TEST_F(LibraryIndexTest, ARegistryWritesItAndThenFindsTheSame) {
  Registry first;
  first.load_own_folder(folder_.path(), index_);
  EXPECT_TRUE(is_known());
  Registry second;
  second.load_own_folder(folder_.path(), index_);
  EXPECT_EQ(second.report().loaded, first.report().loaded);
  EXPECT_EQ(second.report().searched, first.report().searched);
  ASSERT_EQ(second.libraries().size(), 1U);
  EXPECT_EQ(second.libraries()[0].file, first.libraries()[0].file);
  const auto halve = second.find(ComponentKind::hypergradient, "good/halve");
  ASSERT_NE(halve, nullptr);
  EXPECT_EQ(second.called("halve"), std::vector{halve});
  EXPECT_EQ(second.find(ComponentKind::optimizer, "halve"), nullptr);
  EXPECT_EQ(second.components().size(), 2U);
  EXPECT_TRUE(second.report().problems.empty());
}

TEST_F(LibraryIndexTest, ALibraryIsOpenedWhenItIsAskedFor) {
  write_file(library_, "no library");
  write_library_index(index_, {indexed()});
  Registry registry;
  registry.load_own_folder(folder_.path(), index_);
  EXPECT_TRUE(registry.report().problems.empty());
  EXPECT_EQ(registry.find(ComponentKind::optimizer, "other"), nullptr);
  EXPECT_TRUE(registry.report().problems.empty()) << "it has no such component";
  EXPECT_EQ(registry.find(ComponentKind::optimizer, "still"), nullptr);
  ASSERT_EQ(registry.report().problems.size(), 1U);
  EXPECT_EQ(registry.report().problems[0].code, "not_a_library");
  EXPECT_TRUE(registry.components().empty());
  EXPECT_EQ(registry.report().problems.size(), 1U) << "said once";
}

TEST_F(LibraryIndexTest, ATakenNameIsReportedAsWithoutIt) {
  Registry writes;
  writes.load_own_folder(folder_.path(), index_);
  ASSERT_TRUE(is_known());
  Registry registry;
  ASSERT_TRUE(registry.load_library(fixture("good"), true));
  registry.load_own_folder(folder_.path(), index_);
  ASSERT_EQ(registry.report().problems.size(), 1U);
  EXPECT_EQ(registry.report().problems[0].code, "duplicate_plugin");
  EXPECT_EQ(registry.find(ComponentKind::optimizer, "still")->library.path,
            fixture("good").string());
}

TEST_F(LibraryIndexTest, IsNotWrittenWhereSomethingIsWrong) {
  fs::copy_file(fixture("other_sdk"), folder_.path() / "b.so");
  Registry registry;
  registry.load_own_folder(folder_.path(), index_);
  EXPECT_FALSE(registry.report().problems.empty());
  EXPECT_FALSE(fs::exists(index_));
}

}  // namespace
}  // namespace bissl::host::test
