#include "conformance/surroundings.h"

#include "conformance/checker.h"

#include <ATen/Functions.h>
#include <c10/core/DefaultDtype.h>
#include <gtest/gtest.h>

#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdlib>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

TEST(ProcessState, NamesWhatChangedAndPutsItBack) {
  const ProcessState before = ProcessState::now();
  EXPECT_EQ(before.difference(ProcessState::now()), "");
  const auto change = [&](const char* part) {
    const std::string text = before.difference(ProcessState::now());
    EXPECT_NE(text.find(part), std::string::npos) << text;
    before.restore();
    EXPECT_EQ(before.difference(ProcessState::now()), "") << part;
  };
  fs::current_path(before.folder == "/" ? "/tmp" : "/");
  change("current folder");
  std::setlocale(LC_ALL, before.locale == "C.UTF-8" ? "C" : "C.UTF-8");
  change("locale");
  std::fesetround(FE_UPWARD);
  change("rounding mode");
  c10::set_default_dtype(caffe2::TypeMeta::Make<double>());
  change("default type");
}

TEST(ProcessState, NoticesAHandler) {
  const ProcessState before = ProcessState::now();
  const auto handler = std::signal(SIGHUP, SIG_IGN);
  EXPECT_NE(before.difference(ProcessState::now()).find("handler"), std::string::npos);
  std::signal(SIGHUP, handler);
  EXPECT_EQ(before.difference(ProcessState::now()), "");
}

TEST(RequireNoDraws, FindsGeneratorsAndPutsThemBack) {
  std::srand(5);
  const int expected = std::rand();
  std::srand(5);
  EXPECT_NO_THROW(require_no_draws("it", Generators::all, [] {}));
  EXPECT_THROW(require_no_draws("it", Generators::all, [] { std::rand(); }), Violation);
  EXPECT_THROW(require_no_draws("it", Generators::all_but_torch, [] { drand48(); }), Violation);
  EXPECT_EQ(std::rand(), expected);
  at::manual_seed(3);
  const at::Tensor next = at::rand({2});
  at::manual_seed(3);
  EXPECT_THROW(require_no_draws("it", Generators::all, [] { at::rand({2}); }), Violation);
  EXPECT_TRUE(at::rand({2}).equal(next));
  EXPECT_NO_THROW(require_no_draws("it", Generators::all_but_torch, [] { at::rand({2}); }));
}

TEST(OtherFolder, IsLeftAgain) {
  const fs::path before = fs::current_path();
  {
    const OtherFolder other;
    EXPECT_NE(fs::current_path(), before);
  }
  EXPECT_EQ(fs::current_path(), before);
}

}  // namespace
}  // namespace bissl::host::test
