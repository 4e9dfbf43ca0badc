// Targets that are no single class: what is chosen of them, what is refused, what a batch holds.

#include "core/data/fake_data.h"
#include "data/content.h"
#include "data/target_rules.h"

#include <cmath>
#include <limits>

namespace bissl::host {
namespace {

using test::error_of;
using Rows = std::vector<std::vector<float>>;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Images of 1 x 3 pixels (their number, 1, 2) with any targets.
class Targets : public Dataset {
 public:
  Targets(TargetSpec spec, std::vector<Target> all)
      : spec_(std::move(spec)), all_(std::move(all)) {}
  int64_t size() const override { return static_cast<int64_t>(all_.size()); }
  Sample get(int64_t index) const override {
    auto pixels = std::make_shared<std::vector<uint8_t>>(
        std::vector<uint8_t>{static_cast<uint8_t>(index), 1, 2});
    const uint8_t* data = pixels->data();
    return {{{1, 1, 3}, data, std::move(pixels)}, all_.at(static_cast<size_t>(index))};
  }
  Target target(int64_t index) const override { return all_.at(static_cast<size_t>(index)); }
  TargetSpec targets() const override { return spec_; }
  std::string fingerprint() const override { return "targets"; }

 private:
  TargetSpec spec_;
  std::vector<Target> all_;
};

std::shared_ptr<Targets> with_entries(TargetKind kind, std::vector<std::string> names,
                                      const Rows& rows) {
  std::vector<Target> targets;
  for (const std::vector<float>& row : rows) {
    targets.push_back({.category = -1, .values = row, .mask = {}});
  }
  return std::make_shared<Targets>(TargetSpec::named(kind, std::move(names)), targets);
}

std::shared_ptr<Targets> animals() {
  return with_entries(TargetKind::multi_label, {"cat", "dog", "owl"},
                      {{1, 0, 0}, {1, 1, nan}, {0, 0, 0}, {0, 1, 0}});
}

std::shared_ptr<Targets> weights() {
  return with_entries(TargetKind::values, {"kg"}, {{70}, {nan}, {-2.5F}});
}

/// Masks of 1 x 3 pixels, of two categories.
std::shared_ptr<Targets> masks(const std::vector<std::array<uint8_t, 3>>& rows, int64_t width = 3) {
  std::vector<Target> targets;
  for (const auto& row : rows) {
    auto pixels = std::make_shared<std::vector<uint8_t>>(row.begin(), row.end());
    const uint8_t* data = pixels->data();
    targets.push_back(
        {.category = -1, .values = {}, .mask = {{1, 1, width}, data, std::move(pixels)}});
  }
  return std::make_shared<Targets>(TargetSpec::named(TargetKind::mask, {"sky", "sea"}), targets);
}

SelectionOptions classes(std::vector<std::string> names) {
  SelectionOptions options;
  options.classes = std::move(names);
  return options;
}

SelectionOptions per_class(int64_t count) {
  SelectionOptions options;
  options.per_class = count;
  return options;
}

TEST(MultiLabelData, ClassesChooseLabelsAndKeepAllSamples) {
  const DataView view(animals(), classes({"owl", "0"}));
  EXPECT_EQ(view.targets(), TargetSpec::named(TargetKind::multi_label, {"owl", "cat"}));
  ASSERT_EQ(view.size(), 4);
  EXPECT_EQ(view.target(0).values, (std::vector<float>{0, 1}));
  EXPECT_EQ(view.get(0).target.values, (std::vector<float>{0, 1}));
  EXPECT_TRUE(std::isnan(view.target(1).values[0])) << "what does not count stays so";
  EXPECT_EQ(view.target(1).values[1], 1);
  EXPECT_EQ(view.available(), (std::vector<int64_t>{0, 2}));
}

TEST(MultiLabelData, CountsTheSamplesThatHaveALabel) {
  const DataView all(animals(), {});
  EXPECT_EQ(all.available(), (std::vector<int64_t>{2, 2, 0}));
  EXPECT_EQ(samples_by_class(all), (std::vector<int64_t>{2, 2, 0}));
  EXPECT_TRUE(samples_by_class(DataView(weights(), {})).empty());
}

TEST(ConstantTargets, AreLabelsOfAllSamplesAndValuesThatNeverChange) {
  const auto of = [](TargetKind kind, const Rows& rows) {
    return constant_targets(DataView(with_entries(kind, {"a", "b", "c"}, rows), {}));
  };
  const Rows rows = {{1, 0, nan}, {1, 0, 1}, {nan, 0, 1}};
  EXPECT_EQ(of(TargetKind::multi_label, rows), (std::vector<size_t>{0, 2}));
  EXPECT_EQ(of(TargetKind::values, rows), (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(of(TargetKind::values, {{1, 2, nan}, {1, 3, nan}}), (std::vector<size_t>{0}));
  EXPECT_TRUE(constant_targets(DataView(masks({{0, 0, 0}}), {})).empty());
}

TEST(MaskData, KnowsTheCategoriesOfThePixelsThatCount) {
  const auto of = [](const std::vector<std::array<uint8_t, 3>>& rows) {
    return content_of(DataView(masks(rows), {})).mask_categories;
  };
  EXPECT_EQ(of({{0, 1, 255}, {0, 0, 0}}).to_ullong(), 0b11U);
  EXPECT_EQ(of({{1, 255, 1}, {1, 1, 1}}).to_ullong(), 0b10U);
  EXPECT_TRUE(of({{255, 255, 255}}).none());
}

TEST(TargetSelection, TakesAPartOfAnyData) {
  SelectionOptions limit;
  limit.limit = 2;
  for (const std::shared_ptr<Targets>& data :
       {animals(), weights(), masks({{0, 1, 255}, {0, 0, 0}, {1, 1, 1}})}) {
    const DataView view(data, limit);
    EXPECT_EQ(view.size(), 2) << to_string(view.targets().kind);
    EXPECT_TRUE(view.labelled());
  }
}

TEST(TargetSelection, RefusesWhatHasNoMeaning) {
  EXPECT_EQ(error_of([] { DataView(animals(), per_class(1)); }),
            "`per_class` and `skip_per_class` count the samples of a category, and the data has "
            "multi-label targets (\"cat\", \"dog\", \"owl\"): a sample is not of one category "
            "alone; choose with `limit`");
  EXPECT_NE(error_of([] { DataView(weights(), per_class(1)); }).find("values targets (\"kg\")"),
            std::string::npos);
  EXPECT_EQ(error_of([] { DataView(weights(), classes({"kg"})); }),
            "`classes` chooses categories or labels, and the data has values targets (\"kg\"); "
            "choose with `limit`");
  EXPECT_NE(error_of([] {
              DataView(masks({{0, 1, 1}}), classes({"sky"}));
            }).find("mask targets"),
            std::string::npos);
  EXPECT_NE(error_of([] { DataView(animals(), classes({"cow"})); }).find("no class \"cow\""),
            std::string::npos);
}

TEST(TargetRules, RefuseTargetsThatAreNotAsDeclared) {
  const auto refusal = [](const std::shared_ptr<Targets>& data) {
    return error_of([&] { DataView(data, {}); });
  };
  EXPECT_EQ(refusal(with_entries(TargetKind::multi_label, {"a", "b"}, {{1, 0}, {1}})),
            "sample 1 has 1 entries as its target; expected 2 labels");
  EXPECT_EQ(refusal(with_entries(TargetKind::multi_label, {"a", "b"}, {{1, 0}, {0, 2}})),
            "sample 1 has 2 as entry 1 of its target; expected 0 or 1, or NaN for what does not "
            "count");
  EXPECT_EQ(refusal(with_entries(TargetKind::values, {"a"}, {{INFINITY}})),
            "sample 0 has inf as entry 0 of its target; expected a finite number, or NaN for what "
            "does not count");
  EXPECT_EQ(error_of([] {
              DataView(masks({{0, 1, 2}}), {}).get(0);
            }),
            "sample 0 has a mask with the category 2; expected 0 to 1, or 255 for what does not "
            "count");
  EXPECT_EQ(error_of([] {
              DataView(masks({{0, 1, 1}}, 2), {}).get(0);
            }),
            "sample 0 has a mask of 1x2 pixels for an image of 1x3");
}

TEST(TargetRules, RefuseAFaultyDeclaration) {
  const auto refusal = [](TargetSpec spec) {
    return error_of([&] { DataView(std::make_shared<Targets>(spec, std::vector<Target>(1)), {}); });
  };
  const std::string start = "the dataset declares its targets with a fault: ";
  EXPECT_EQ(refusal({TargetKind::multi_label, 3, {"a", "b"}}), start + "2 names for 3 labels");
  EXPECT_EQ(refusal({TargetKind::category, 0, {}}),
            start + "0 targets, of the kind category; expected at least 1");
  EXPECT_EQ(refusal(TargetSpec::named(TargetKind::values, {"a", "a"})),
            start + "two of its targets are called \"a\"");
  EXPECT_EQ(refusal(TargetSpec::named(TargetKind::category, {"a", " "})),
            start + "name 1 of its targets is empty");
  EXPECT_EQ(refusal({TargetKind::none, 2, {}}), start +
                                                    "2 targets and 0 names, although its kind "
                                                    "is none");
  EXPECT_EQ(refusal({static_cast<TargetKind>(9), 1, {"a"}}),
            start + "there is no kind of target 9");
  EXPECT_EQ(fault_of(TargetSpec{TargetKind::values, 512, {}}), "") << "values may have no names";
  EXPECT_NE(fault_of(TargetSpec{TargetKind::mask, 300, std::vector<std::string>(300)}), "");
}

TEST(TargetRules, SayTargetsInWords) {
  EXPECT_EQ(describe(TargetSpec{}), "no targets");
  EXPECT_EQ(describe(TargetSpec{TargetKind::values, 512, {}}), "values targets (512 values)");
  EXPECT_EQ(describe(TargetSpec::named(TargetKind::category, {"a", "b", "c", "d", "e", "f", "g"})),
            "category targets (\"a\", \"b\", \"c\", \"d\", \"e\" and 2 more)");
}

TEST(TargetBatches, HoldAColumnForEachEntry) {
  const auto source =
      test::source_of(animals(), {.batch = 3, .order = Order::sequential, .purpose = "test"});
  const at::Tensor dense = source->make(0).targets.dense;
  EXPECT_EQ(dense.sizes(), (std::vector<int64_t>{3, 3}));
  EXPECT_EQ(dense.scalar_type(), at::kFloat);
  EXPECT_EQ(dense[1][1].item<float>(), 1);
  EXPECT_TRUE(std::isnan(dense[1][2].item<float>()));
  const TargetBatch batch{dense};
  EXPECT_EQ(batch.counted().sum().item<int64_t>(), 8);
  EXPECT_EQ(batch.known()[1][2].item<float>(), 0);
  EXPECT_EQ(source->make(1).targets.dense.size(0), 1);
}

TEST(TargetBatches, AreLeftOutWhereNobodyAsksForThem) {
  const BatchSource source(
      std::make_shared<const DataView>(masks({{0, 1, 255}}), SelectionOptions{}),
      guarded(std::make_shared<test::FakeAugmentation>(), test::fake_choice()), "augment",
      {.batch = 1, .purpose = "test", .targets = false});
  EXPECT_FALSE(source.make(0).targets.dense.defined());
}

/// Views of 1 x 4 that show the image from a place on, exchanged left and right if asked to.
class Moved : public test::FakeAugmentation {
 public:
  explicit Moved(ViewGeometry geometry) : geometry_(geometry) {}
  ViewGeometry apply(const Image& /*image*/, int64_t /*view*/, RandomStream& /*stream*/,
                     std::span<float> output) const override {
    std::fill(output.begin(), output.end(), 0.0F);
    return geometry_;
  }

 private:
  ViewGeometry geometry_;
};

std::vector<int64_t> mask_in(const ViewGeometry& geometry) {
  const BatchSource source(
      std::make_shared<const DataView>(masks({{0, 1, 255}}), SelectionOptions{}),
      guarded(std::make_shared<Moved>(geometry), test::fake_choice()), "augment",
      {.batch = 1, .order = Order::sequential, .purpose = "test"});
  const at::Tensor dense = source.make(0).targets.dense;
  EXPECT_EQ(dense.sizes(), (std::vector<int64_t>{1, 1, 4}));
  EXPECT_EQ(dense.scalar_type(), at::kLong);
  const int64_t* begin = dense.data_ptr<int64_t>();
  return {begin, begin + 4};
}

TEST(TargetBatches, MasksFollowTheFirstView) {
  using Row = std::vector<int64_t>;
  EXPECT_EQ(mask_in({}), (Row{0, 1, 255, 255})) << "beside the image nothing counts";
  EXPECT_EQ(mask_in({.x0 = -1}), (Row{255, 0, 1, 255}));
  EXPECT_EQ(mask_in(flipped(4) * ViewGeometry{}), (Row{255, 255, 1, 0}));
  EXPECT_EQ(mask_in({.xx = 0.5}), (Row{0, 0, 1, 1})) << "twice as large";
}

}  // namespace
}  // namespace bissl::host
