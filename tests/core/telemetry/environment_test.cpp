#include "telemetry/environment.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace bissl::host::test {
namespace {

using nlohmann::json;

TEST(Environment, HoldsWhatResultsCanHangOn) {
  const json found = computing_environment(c10::kCPU, 3);
  EXPECT_EQ(found.at("threads").at("compute"), at::get_num_threads());
  EXPECT_EQ(found.at("threads").at("loader"), 3);
  EXPECT_EQ(found.at("device").at("name"), "cpu");
  EXPECT_EQ(found.at("bissl").at("checksum").get<std::string>().size(), 32U);
  for (const char* group : {"precision", "blas", "cpu", "libtorch", "libc", "variables"}) {
    EXPECT_TRUE(found.contains(group)) << found.dump(2);
  }
  EXPECT_FALSE(found.at("cpu").at("model").get<std::string>().empty());
  EXPECT_FALSE(found.at("cpu").at("capability").get<std::string>().empty());
}

TEST(Environment, IsTheSameTwice) {
  EXPECT_EQ(computing_environment(c10::kCPU, 1), computing_environment(c10::kCPU, 1));
}

TEST(Environment, TakesTheVariablesThatMatterAndNoOthers) {
  setenv("OMP_DYNAMIC", "false", 1);
  setenv("MKL_CBWR", "COMPATIBLE", 1);
  setenv("SECRET_TOKEN", "hidden", 1);
  const json variables = computing_environment(c10::kCPU, 1).at("variables");
  unsetenv("OMP_DYNAMIC");
  unsetenv("MKL_CBWR");
  unsetenv("SECRET_TOKEN");
  EXPECT_EQ(variables.at("OMP_DYNAMIC"), "false");
  EXPECT_EQ(variables.at("MKL_CBWR"), "COMPATIBLE");
  EXPECT_FALSE(variables.contains("SECRET_TOKEN"));
}

TEST(Environment, ASummaryNamesTheMainThings) {
  const json environment = {{"threads", {{"compute", 2}}},
                            {"device", {{"name", "cpu"}}},
                            {"blas", {{"library", "OpenBLAS"}, {"kernel", "Haswell"}}},
                            {"cpu", {{"capability", "AVX2"}}},
                            {"libtorch", {{"version", "1.13.1"}}}};
  EXPECT_EQ(environment_summary(environment),
            "2 threads, cpu, OpenBLAS Haswell, AVX2, LibTorch 1.13.1");
  EXPECT_EQ(environment_summary(json::object()), "");
  EXPECT_EQ(environment_summary(json::array()), "");
}

}  // namespace
}  // namespace bissl::host::test
