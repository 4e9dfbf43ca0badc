#include "stages/pace.h"

#include "bissl/error.h"
#include "stages/option_schemas.h"
#include "stages/rates_options.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

/// Moves nothing, and notes what it was set to.
class Noting : public Optimizer, public OptimizerMomentumSetting {
 public:
  explicit Noting(double momentum) : momentum_(momentum) {}
  void step(double /*lr_scale*/) override {}
  double learning_rate() const override { return 1; }
  double momentum() const override { return momentum_; }
  void set_momentum(double value) override { momentum_ = value; }
  void* capability(std::string_view id) override {
    return provide<OptimizerMomentumSetting>(*this, id);
  }
  NamedTensors state() const override { return {}; }
  void load_state(const NamedTensors& /*state*/) override {}

 private:
  double momentum_;
};

/// A table of this specification with these values over the defaults.
Table table_with(const TableSpec& spec, const ParameterValues& changes) {
  Table table;
  table.values = defaults(spec.parameters);
  for (const auto& [name, value] : changes) {
    table.values[name] = value;
  }
  return table;
}

/// A table with `rates = { momentum = { … } }` and a schedule.
Table paced(const ParameterValues& momentum, const ParameterValues& schedule) {
  const TableSpec rates = rates_table().table;
  const auto spec = std::find_if(rates.tables.begin(), rates.tables.end(),
                                 [](const SubtableSpec& one) { return one.name == "momentum"; });
  Table table;
  table.tables["schedule"] = table_with(schedule_table().table, schedule);
  table.tables["rates"] = table_with(rates, {});
  table.tables["rates"].tables["momentum"] = table_with(spec->table, momentum);
  return table;
}

std::vector<double> momenta(const Table& table, double start, int64_t steps) {
  Noting optimizer(start);
  const Pace pace(table, optimizer, steps, 100, 10);
  std::vector<double> found;
  for (int64_t step = 0; step < steps; ++step) {
    pace.begin(step);
    found.push_back(optimizer.momentum());
  }
  return found;
}

TEST(Pace, OneCyclesMomentaArePyTorchs) {
  const auto golden = nlohmann::json::parse(
      test::read_file(std::string(test::source_folder) + "/tests/reference/golden/schedules.json"));
  ASSERT_EQ(golden["momenta"].size(), 2U);
  for (const nlohmann::json& expected : golden["momenta"]) {
    const auto found = momenta(
        paced({{"use", std::string("one-cycle")}, {"to", expected["to"].get<double>()}},
              {{"use", std::string("one-cycle")}, {"rise", expected["rise"].get<double>()}}),
        expected["from"], expected["steps"]);
    for (size_t step = 0; step < found.size(); ++step) {
      EXPECT_NEAR(found[step], expected["momenta"][step], 1e-14) << step;
    }
  }
}

TEST(Pace, MomentumGoesFromTheOptimizersToTheEnds) {
  // The schedule of the learning rate, its warm-up included, has no part in it.
  const ParameterValues schedule = {{"use", std::string("cosine")}, {"warmup_steps", int64_t{3}}};
  const auto cosine =
      momenta(paced({{"use", std::string("cosine")}, {"to", 0.99}}, schedule), 0.9, 11);
  for (size_t step = 0; step < 11; ++step) {
    const double share = 0.5 * (1 + std::cos(M_PI * static_cast<double>(step) / 10));
    EXPECT_NEAR(cosine[step], 0.99 - 0.09 * share, 1e-15) << step;
  }
  const auto line = momenta(
      paced({{"use", std::string("polynomial")}, {"to", 0.0}, {"power", 1.0}}, schedule), 0.8, 5);
  for (size_t step = 0; step < 5; ++step) {
    EXPECT_NEAR(line[step], 0.8 - 0.2 * static_cast<double>(step), 1e-15) << step;
  }
}

TEST(Pace, AStepsMomentumIsThatOfItsNumberAlone) {
  const Table table = paced({{"use", std::string("cosine")}, {"to", 0.5}}, {});
  const auto whole = momenta(table, 0.9, 7);
  Noting resumed(0.9);
  const Pace pace(table, resumed, 7, 100, 10);
  pace.begin(5);
  EXPECT_EQ(resumed.momentum(), whole[5]);
}

TEST(Pace, MomentumOfOneCycleNeedsThatSchedule) {
  Noting optimizer(0.9);
  try {
    const Pace pace(paced({{"use", std::string("one-cycle")}, {"to", 0.85}}, {}), optimizer, 9, 9,
                    1);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_STREQ(
        error.what(),
        "rates.momentum: \"one-cycle\" falls while the learning rate rises and rises while "
        "that falls, and schedule.use is \"constant\": choose \"one-cycle\" there, too, or "
        "another one here");
  }
}

}  // namespace
}  // namespace bissl::host
