#include "store/run_origin.h"

#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class Origin : public testing::Test {
 protected:
  FolderOrigin origin(const std::string& file, const std::string& name = "first",
                      FolderOrigin::Kind kind = FolderOrigin::Kind::run) const {
    return {.kind = kind,
            .out = folder_.path() / "runs",
            .name = name,
            .file = folder_.path() / file,
            .is_same = {}};
  }
  static std::string refusal(const FolderOrigin& origin) {
    return error_of([&] { check_origin(origin); });
  }

  TemporaryFolder folder_;
};

TEST_F(Origin, IsThatOfTheFirst) {
  EXPECT_EQ(refusal(origin("p.toml")), "no error");
  EXPECT_FALSE(fs::exists(folder_.path() / "runs"));  // asked only
  claim_origin(origin("p.toml"));
  claim_origin(origin("p.toml"));
  EXPECT_EQ(refusal(origin("p.toml")), "no error");
  EXPECT_EQ(refusal(origin("./x/../p.toml")), "no error");
  EXPECT_EQ(listing(folder_.path() / "runs" / "first"), ".origin.json");
  const std::string other = refusal(origin("q.toml"));
  EXPECT_TRUE(other.starts_with("input: " + (folder_.path() / "runs" / "first").string() +
                                " holds the results of another run: that of "))
      << other;
  EXPECT_EQ(error_of([&] { claim_origin(origin("q.toml")); }), other);
  EXPECT_EQ(refusal(origin("q.toml", "second")), "no error");
  EXPECT_NE(refusal(origin("p.toml", "first", FolderOrigin::Kind::sweep))
                .find("of a run, not of a sweep"),
            std::string::npos);
  // The folder itself is no place for others.
  FolderOrigin inside = origin("p.toml");
  inside.out = folder_.path() / "runs" / "first";
  EXPECT_NE(refusal(inside).find("this is the folder of a run"), std::string::npos);
  inside.out = folder_.path() / "runs" / "first" / "more";
  EXPECT_NE(refusal(inside).find("it lies in " + (folder_.path() / "runs" / "first").string() +
                                 ", the folder of a run"),
            std::string::npos)
      << refusal(inside);
}

TEST_F(Origin, NothingGoesIntoTheFolderOfAnOlderSweep) {
  const fs::path sweep = folder_.path() / "runs" / "grid";
  write_file(sweep / "plan.json", "{}");
  FolderOrigin inside = origin("p.toml");
  inside.out = sweep / "cells";
  EXPECT_EQ(refusal(inside), "no error");  // somebody's plan.json
  fs::create_directories(sweep / "cells");
  for (const fs::path& out : {sweep, sweep / "cells", sweep / "cells" / "seed=0"}) {
    inside.out = out;
    EXPECT_NE(refusal(inside).find("the folder of a sweep"), std::string::npos) << out;
  }
}

TEST_F(Origin, LinksLeadToTheSameFile) {
  write_file(folder_.path() / "real" / "p.toml", "x");
  fs::create_symlink(folder_.path() / "real" / "p.toml", folder_.path() / "p.toml");
  fs::create_directory_symlink(folder_.path() / "real", folder_.path() / "alias");
  claim_origin(origin("real/p.toml"));
  EXPECT_EQ(refusal(origin("p.toml")), "no error");
  EXPECT_EQ(refusal(origin("alias/p.toml")), "no error");
}

TEST_F(Origin, FoldersWithoutARecordAreKnownByWhatIsInThem) {
  write_file(folder_.path() / "runs" / "first" / "plan.json", "{}");
  EXPECT_NE(refusal(origin("p.toml")).find("of a sweep, not of a run"), std::string::npos);
  write_file(folder_.path() / "runs" / "old" / "pipeline.lock.toml", "");
  EXPECT_EQ(refusal(origin("p.toml", "old")), "no error");  // made before there were records
  EXPECT_NE(refusal(origin("p.toml", "old", FolderOrigin::Kind::sweep)).find("of a run, not of a"),
            std::string::npos);
  // What is no record does not lock anybody out.
  for (const char* content : {"", "[1]", "{\"file\": 3}", "{}"}) {
    write_file(folder_.path() / "runs" / "old" / ".origin.json", content);
    EXPECT_EQ(refusal(origin("p.toml", "old")), "no error") << content;
  }
  claim_origin(origin("p.toml", "old"));
  EXPECT_NE(refusal(origin("q.toml", "old")), "no error");
}

TEST_F(Origin, TheSameSettingsFromAnotherFileAreWelcome) {
  claim_origin(origin("p.toml"));
  FolderOrigin copy = origin("copy.toml");
  copy.is_same = [] { return true; };
  claim_origin(copy);
  EXPECT_EQ(refusal(origin("p.toml")), "no error");  // still that file's
  EXPECT_NE(refusal(origin("copy.toml")), "no error");
}

}  // namespace
}  // namespace bissl::host::test
