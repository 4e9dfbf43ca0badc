#include "cli/pipeline_arguments.h"

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

}  // namespace
}  // namespace bissl::host::test
