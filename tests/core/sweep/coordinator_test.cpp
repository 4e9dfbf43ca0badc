// Worker processes: how they are started.

#include "sweep/coordinator.h"

#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A sweep without work, whose workers run `command`.
void run_workers(const fs::path& out, const std::string& command) {
  const SweepPlan plan{};
  StageStore store(store_folder(out));
  SweepState state(plan, store, out / "study");
  const CoordinatorOptions options{
      .jobs = 1, .stop_on_failure = false, .worker = {"/bin/sh", "-c", command}, .say = {}};
  coordinate(state, options);
}

TEST(Coordinator, WorkersWriteIntoTheirLogs) {
  const TemporaryFolder folder;
  for (int call = 0; call < 2; ++call) {
    run_workers(folder.path(), "echo out; echo err >&2");
  }
  EXPECT_EQ(read_file(folder.path() / "study" / "logs" / "worker-0.log"), "out\nerr\nout\nerr\n");
}

TEST(Coordinator, ALogThatCannotBeWrittenIsNamed) {
  const TemporaryFolder folder;
  const fs::path log = folder.path() / "study" / "logs" / "worker-0.log";
  fs::create_directories(log);
  EXPECT_EQ(error_of([&] { run_workers(folder.path(), "true"); }),
            "run: cannot write " + log.string() + ": Is a directory");
}

}  // namespace
}  // namespace bissl::host::test
