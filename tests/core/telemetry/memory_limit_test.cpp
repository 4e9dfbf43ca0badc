#include "telemetry/memory_limit.h"

#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

namespace bissl::host::test {
namespace {

/// Files of a system's control groups, made up.
class ControlGroups : public ::testing::Test {
 protected:
  void write(const std::string& file, const std::string& content) const {
    const std::filesystem::path path = folder_.path() / file;
    std::filesystem::create_directories(path.parent_path());
    write_file(path, content);
  }
  double limit() const { return control_group_limit(folder_.path()); }

  TemporaryFolder folder_;
};

TEST_F(ControlGroups, OfVersion2HaveTheLeastLimitOfThoseAround) {
  EXPECT_TRUE(std::isinf(limit())) << "nothing is known";
  write("proc/self/cgroup", "0::/user.slice/job\n");
  write("sys/fs/cgroup/user.slice/job/memory.max", "max\n");
  EXPECT_TRUE(std::isinf(limit()));
  write("sys/fs/cgroup/user.slice/memory.max", "3000000\n");
  EXPECT_EQ(limit(), 3e6);
  write("sys/fs/cgroup/user.slice/job/memory.max", "2000000\n");
  EXPECT_EQ(limit(), 2e6);
}

TEST_F(ControlGroups, OfVersion1HaveAHierarchyForMemory) {
  write("proc/self/cgroup",
        "12:cpuset:/other\n9:hugetlb,memory:/slurm/job 7\n1:name=systemd:/memory\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_TRUE(std::isinf(limit())) << "the number that says that there is none";
  write("sys/fs/cgroup/memory/slurm/job 7/memory.limit_in_bytes", "5000000\n");
  EXPECT_EQ(limit(), 5e6);
  write("sys/fs/cgroup/memory/slurm/memory.limit_in_bytes", "4000000\n");
  EXPECT_EQ(limit(), 4e6);
}

/// A container sees its own group in the place of the root, and reads the host's path.
TEST_F(ControlGroups, OfAContainerAreFoundWithoutTheHostsPath) {
  write("proc/self/cgroup", "4:memory:/docker/0123abcd\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "6000000\n");
  EXPECT_EQ(limit(), 6e6);
}

}  // namespace
}  // namespace bissl::host::test
