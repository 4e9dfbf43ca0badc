#include "cli/pipeline_arguments.h"
#include "cli/run_command.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace bissl::host::test {
namespace {

/// The variable while this lives.
class VariableSet {
 public:
  VariableSet(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) {
      before_ = before;
      was_set_ = true;
    }
    setenv(name, value, 1);
  }
  ~VariableSet() {
    if (was_set_) {
      setenv(name_, before_.c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  VariableSet(const VariableSet&) = delete;
  VariableSet& operator=(const VariableSet&) = delete;

 private:
  const char* name_;
  std::string before_;
  bool was_set_ = false;
};

TEST(Threads, AreNoMoreThanTheEnvironmentAsksFor) {
  for (const char* one : {"1", "1,4"}) {
    const VariableSet variable("OMP_NUM_THREADS", one);
    EXPECT_EQ(set_threads(0), 1) << one;
    EXPECT_EQ(set_threads(2), 2) << "what is asked for by an option counts";
  }
  int all = 0;
  {
    const VariableSet variable("OMP_NUM_THREADS", "100000");
    all = set_threads(0);
    EXPECT_GE(all, 1);
    EXPECT_LT(all, 100000) << "no more than processors";
  }
  for (const char* nothing : {"", "many", "0", "-3"}) {
    const VariableSet variable("OMP_NUM_THREADS", nothing);
    EXPECT_EQ(set_threads(0), all) << nothing;
  }
}

TEST(Threads, OfTheCallAreSharedByTheProcessesThatItStarts) {
  ProcessPlace place;
  place.on_this_machine = 4;
  for (const bool leads : {true, false}) {
    place.starts_others = leads;
    place.is_started = !leads;
    EXPECT_EQ(threads_of_process(place, 0, 8, 16), 2) << "OMP_NUM_THREADS is the call's";
    EXPECT_EQ(threads_of_process(place, 12, 8, 16), 3);
    EXPECT_EQ(threads_of_process(place, 2, 8, 16), 1);
    EXPECT_EQ(threads_of_process(place, 0, 1, 16), 1);
  }
}

TEST(Threads, OfProcessesThatALauncherStartsAreTheirOwn) {
  ProcessPlace place;
  place.on_this_machine = 4;
  EXPECT_EQ(threads_of_process(place, 0, 16, 16), 4) << "all may use all processors";
  EXPECT_EQ(threads_of_process(place, 0, 2, 16), 2) << "OMP_NUM_THREADS is each one's";
  EXPECT_EQ(threads_of_process(place, 12, 2, 16), 3);
  place.processors = 16;
  EXPECT_EQ(threads_of_process(place, 0, 4, 4), 4) << "each bound to a quarter of Slurm's";
  EXPECT_EQ(threads_of_process(place, 0, 16, 16), 4) << "none bound";
  EXPECT_EQ(threads_of_process(place, 0, 64, 64), 4) << "bound to no part of the machine";
}

}  // namespace
}  // namespace bissl::host::test
