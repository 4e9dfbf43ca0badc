// Each approximator in a pipeline, and what is refused of them.

#include "run_fixture.h"
#include "support/paths.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

/// Each approximator that is made for more than small backbones takes upper steps in single
/// precision, ends in a state that is named, and leaves finite weights. (On so small a network H is
/// large and indefinite: how close they come is tested elsewhere.)
class ApproximatorTest : public RunTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(ApproximatorTest, RunsInAPipeline) {
  write_file(file_, small_pipeline(GetParam()));
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("6 upper steps, "), std::string::npos) << outcome.out;
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  const auto& solves = results["stages"]["bissl"]["solves"];
  int64_t ended = 0;
  for (const auto& [state, count] : solves["ended"].items()) {
    ended += count.get<int64_t>();
  }
  EXPECT_EQ(ended, 6);
  EXPECT_LE(std::abs(solves["mean_cosine_u_v"].get<double>()), 1.0 + 1e-6);
  const auto& loss = results["stages"]["finetune"]["metrics"]["test"]["loss"]["mean"];
  EXPECT_TRUE(loss.is_number() && std::isfinite(loss.get<double>())) << loss;
}

std::string case_name(const ::testing::TestParamInfo<std::string>& info) {
  return "case" + std::to_string(info.index);
}

// One of each kind: solves with exact products and with differences, a step back through the lower
// level, a factorisation of layers, a solve that continues from step to step, and directions.
INSTANTIATE_TEST_SUITE_P(
    Each, ApproximatorTest,
    ::testing::Values(R"(use = "cg", warm_start = true, preconditioner = "diagonal")",
                      R"(use = "minres", products = "finite-difference")",
                      R"(use = "unrolled", steps = 3)", R"(use = "ekfac", samples = 4)",
                      R"(use = "soba", steps = 2)", R"(use = "pzobo", steps = 3, directions = 2)"),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Wide, ApproximatorTest,
    ::testing::Values(R"(use = "cg", form = "layerwise", products = "central-difference")",
                      R"(use = "neumann", step = 0.5)", R"(use = "nystrom", rank = 3)",
                      R"(use = "darts")", R"(use = "sama")", R"(use = "identity")",
                      R"(use = "unrolled", steps = 2, products = "finite-difference")",
                      R"(use = "kfac")", R"(use = "minres", tolerance = 0.5, ask_every = 2)",
                      R"(use = "gmres", products = "finite-difference")",
                      R"(use = "soba", products = "finite-difference")",
                      R"(use = "equilibrium", steps = 2)", R"(use = "f2sa", steps = 2)",
                      R"(use = "meha", steps = 2)"),
    case_name);

TEST_F(RunTest, StepsThatARoundDoesNotHaveAreRefused) {
  write_file(file_, small_pipeline(R"(use = "unrolled", steps = 4)"));
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = run_bissl(call(name));
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("goes back through 4 lower steps, but a round has 3 (lower.steps)"),
              std::string::npos)
        << outcome.err;
  }
}

TEST_F(RunTest, CheckTellsTheMemoryOfTheKeptGraph) {
  const Outcome kept = run_bissl(call("check"));
  ASSERT_EQ(kept.code, 0) << kept.err;
  EXPECT_NE(kept.out.find("; the kept graph takes "), std::string::npos) << kept.out;
  const Outcome recomputed =
      run_bissl(call("check", {"--set", "stage.bissl.lower.hessian_graph=recomputed"}));
  EXPECT_EQ(recomputed.out.find("; the kept graph takes "), std::string::npos) << recomputed.out;
}

TEST_F(RunTest, CheckNamesWhatDoesWithoutSecondDerivatives) {
  std::string text = small_pipeline();
  const std::string simclr = R"(pretext   = { use = "simclr", projector = [8, 8] })";
  text.replace(text.find(simclr), simclr.size(), R"(pretext   = { use = "distances" })");
  write_file(file_, text);
  const std::filesystem::path plugins = folder_.path() / "plugins";
  std::filesystem::create_directory(plugins);
  const std::filesystem::path fixtures(fixture_plugin_folder);
  std::filesystem::copy(fixtures / "once_differentiable.so", plugins / "once_differentiable.so");
  const std::vector<std::string> path = {"--plugin-path", plugins.string()};
  const Outcome check = run_bissl(call("check", path));
  EXPECT_EQ(check.code, 2);
  EXPECT_NE(check.err.find("\"_cdist_backward\", which cannot be differentiated again"),
            std::string::npos)
      << check.err;
  const std::string list = check.err.substr(check.err.find("these work without it: "));
  for (const char* name :
       {"use = \"darts\"", "use = \"identity\"", "use = \"sama\"", "use = \"kfac\"",
        "use = \"ekfac\"", "use = \"equilibrium\"", "use = \"f2sa\"", "use = \"meha\"",
        "use = \"pzobo\"", "use = \"soba\", products = \"finite-difference\"",
        "use = \"cg\", products = \"finite-difference\"",
        "use = \"unrolled\", products = \"finite-difference\""}) {
    EXPECT_NE(list.find(name), std::string::npos) << name << "\n" << list;
  }
  EXPECT_EQ(list.find("exact"), std::string::npos) << list;

  // What it says works: the choices pass their own check.
  for (const char* choice : {R"(use = "darts")", R"(use = "cg", products = "finite-difference")"}) {
    std::string other = small_pipeline(choice);
    other.replace(other.find(simclr), simclr.size(), R"(pretext   = { use = "distances" })");
    write_file(file_, other);
    EXPECT_EQ(run_bissl(call("check", path)).code, 0) << choice;
  }
}

}  // namespace
}  // namespace bissl::host::test
