#include "core/data/fake_data.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace bissl::host {
namespace {

using test::error_of;
using test::FakeDataset;
using Names = std::vector<std::string>;

/// 24 samples: twelve of class "ant", eight of "bee", four of "2", mixed.
std::shared_ptr<FakeDataset> insects() {
  std::vector<int64_t> labels;
  for (int i = 0; i < 4; ++i) {
    labels.insert(labels.end(), {0, 1, 0, 2, 1, 0});
  }
  return std::make_shared<FakeDataset>(labels, Names{"ant", "bee", "2"});
}

/// SelectionOptions that can be written by name with parts left out.
struct Choice {
  Names classes{};
  std::optional<int64_t> per_class{};
  int64_t skip_per_class = 0;
  std::optional<int64_t> limit{};
  int64_t subset_seed = 0;

  operator SelectionOptions() const {
    return {classes, per_class, skip_per_class, limit, subset_seed, {}};
  }
};

DataView choose(const Choice& choice) { return DataView(insects(), choice); }

/// The chosen samples' indices in the dataset.
std::vector<int64_t> indices(const DataView& view) {
  std::vector<int64_t> found;
  for (int64_t i = 0; i < view.size(); ++i) {
    found.push_back(view.get(i).image.pixels[0]);
  }
  return found;
}

/// The chosen samples of each class, by its name.
std::map<std::string, std::set<int64_t>> by_class(const DataView& view) {
  std::map<std::string, std::set<int64_t>> found;
  for (int64_t i = 0; i < view.size(); ++i) {
    found[view.targets().names.at(static_cast<size_t>(view.target(i).category))].insert(
        view.get(i).image.pixels[0]);
  }
  return found;
}

TEST(DataView, WithoutAChoiceIsTheDataset) {
  const DataView view = choose({});
  EXPECT_EQ(view.size(), 24);
  EXPECT_EQ(view.targets().names, (Names{"ant", "bee", "2"}));
  EXPECT_TRUE(view.labelled());
  EXPECT_EQ(view.fingerprint(), "fake");
  const auto dataset = insects();
  for (int64_t i = 0; i < 24; ++i) {
    EXPECT_EQ(view.get(i).image.pixels[0], i);
    EXPECT_EQ(view.get(i).target.category, dataset->target(i).category);
    EXPECT_EQ(view.target(i).category, dataset->target(i).category);
  }
}

TEST(DataView, ClassesGetNewLabelsInTheOrderGiven) {
  const DataView view = choose({.classes = {"2", "ant"}});
  EXPECT_EQ(view.targets().names, (Names{"2", "ant"}));
  EXPECT_EQ(view.size(), 16);
  const auto dataset = insects();
  for (int64_t i = 0; i < view.size(); ++i) {
    const Sample sample = view.get(i);
    EXPECT_EQ(sample.target.category,
              dataset->target(sample.image.pixels[0]).category == 2 ? 0 : 1);
    EXPECT_EQ(view.target(i).category, sample.target.category);
  }
}

TEST(DataView, ClassesMayBeNumbersButNamesComeFirst) {
  EXPECT_EQ(choose({.classes = {"1", "0"}}).targets().names, (Names{"bee", "ant"}));
  EXPECT_EQ(choose({.classes = {"2"}}).targets().names, Names{"2"});
  // Digits named by other digits: the name counts.
  const DataView view(std::make_shared<FakeDataset>(std::vector<int64_t>{0, 1}, Names{"1", "0"}),
                      Choice{.classes = {"1"}});
  EXPECT_EQ(view.targets().names, Names{"1"});
  EXPECT_EQ(indices(view), std::vector<int64_t>{0});
}

TEST(DataView, RefusesClassesThatAreNotThere) {
  for (const std::string text : {"wasp", "3", "-1", "1x", "", "99999999999999999999"}) {
    EXPECT_EQ(error_of([&] {
                choose({.classes = {"ant", text}});
              }),
              "classes: there is no class \"" + text +
                  "\"; the classes are \"ant\", \"bee\", \"2\", or 0 to 2");
  }
  EXPECT_EQ(error_of([] {
              choose({.classes = {"bee", "ant", "1"}});
            }),
            "classes: \"bee\" is named twice");
}

TEST(DataView, PerClassTakesAsManyOfEach) {
  for (const int64_t count : {1, 3, 4}) {
    const DataView view = choose({.per_class = count});
    EXPECT_EQ(view.size(), 3 * count);
    for (const auto& [name, chosen] : by_class(view)) {
      EXPECT_EQ(static_cast<int64_t>(chosen.size()), count) << name;
    }
    const std::vector<int64_t> found = indices(view);
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
  }
}

TEST(DataView, PerClassDependsOnTheSeedAlone) {
  EXPECT_EQ(indices(choose({.per_class = 3})), indices(choose({.per_class = 3})));
  std::set<std::vector<int64_t>> different;
  for (int64_t seed = 0; seed < 10; ++seed) {
    different.insert(indices(choose({.per_class = 2, .subset_seed = seed})));
  }
  EXPECT_GE(different.size(), 8U);
}

TEST(DataView, PerClassTakesTheSameSamplesWhateverTheOtherClasses) {
  const auto all = by_class(choose({.per_class = 3}));
  EXPECT_EQ(by_class(choose({.classes = {"2", "bee", "ant"}, .per_class = 3})), all);
  const auto one = by_class(choose({.classes = {"bee"}, .per_class = 3}));
  EXPECT_EQ(one.at("bee"), all.at("bee"));
}

TEST(DataView, MoreSamplesPerClassContainTheFewer) {
  const auto three = by_class(choose({.per_class = 3}));
  for (const auto& [name, chosen] : by_class(choose({.per_class = 2}))) {
    for (const int64_t index : chosen) {
      EXPECT_TRUE(three.at(name).contains(index)) << name;
    }
  }
}

TEST(DataView, WhatOneSourceKeepsAnotherCanSkip) {
  const auto first = by_class(choose({.per_class = 3}));
  const auto next = by_class(choose({.per_class = 1, .skip_per_class = 3}));
  const auto rest = by_class(choose({.skip_per_class = 3}));
  EXPECT_EQ(by_class(choose({.per_class = 4})).at("2").size(), 4U);
  for (const auto& [name, chosen] : rest) {
    EXPECT_EQ(first.at(name).size(), 3U);
    EXPECT_EQ(next.at(name).size(), 1U);
    for (const int64_t index : chosen) {
      EXPECT_FALSE(first.at(name).contains(index)) << name;
    }
    EXPECT_TRUE(chosen.contains(*next.at(name).begin())) << name;
  }
  EXPECT_EQ(rest.at("ant").size(), 9U);
  EXPECT_EQ(error_of([] { choose({.per_class = 3, .skip_per_class = 2}); }),
            "per_class = 3 and skip_per_class = 2, but class \"2\" has only 4 samples");
  EXPECT_EQ(error_of([] { choose({.classes = {"2"}, .skip_per_class = 4}); }),
            "no samples are left");
  EXPECT_EQ(error_of([] { choose({.skip_per_class = 5}); }),
            "skip_per_class = 5, but class \"2\" has only 4 samples");
}

TEST(DataView, LimitTakesThatManyAtRandom) {
  const DataView view = choose({.limit = 7});
  const std::vector<int64_t> found = indices(view);
  EXPECT_EQ(std::set<int64_t>(found.begin(), found.end()).size(), 7U);
  EXPECT_NE(found, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(found, indices(choose({.limit = 7})));
  EXPECT_NE(found, indices(choose({.limit = 7, .subset_seed = 1})));
  EXPECT_EQ(indices(choose({.limit = 24})), indices(choose({})));
  EXPECT_EQ(choose({.classes = {"2"}, .per_class = 3, .limit = 2}).size(), 2);
}

TEST(DataView, RefusesToTakeMoreThanThereIs) {
  EXPECT_EQ(error_of([] { choose({.per_class = 5}); }),
            "per_class = 5, but class \"2\" has only 4 samples");
  EXPECT_EQ(error_of([] { choose({.limit = 25}); }), "limit = 25, but there are only 24 samples");
  EXPECT_EQ(error_of([] { choose({.classes = {"2"}, .limit = 5}); }),
            "limit = 5, but there are only 4 samples");
}

TEST(DataView, TakesUnlabelledData) {
  const DataView view(test::unlabelled(5), Choice{.limit = 3});
  EXPECT_FALSE(view.labelled());
  EXPECT_EQ(view.size(), 3);
  EXPECT_EQ(view.get(0).target.category, -1);
  EXPECT_EQ(view.target(0).category, -1);
}

TEST(DataView, CannotChooseByClassWithoutLabels) {
  const std::string text =
      "the data has no labels, so `classes` and `per_class` cannot choose among it";
  EXPECT_EQ(error_of([] { DataView(test::unlabelled(5), Choice{.classes = {"0"}}); }), text);
  EXPECT_EQ(error_of([] { DataView(test::unlabelled(5), Choice{.per_class = 1}); }), text);
}

TEST(DataView, RefusesLabelsOutOfRangeAndEmptyData) {
  for (const int64_t label : {-1, 2}) {
    EXPECT_EQ(error_of([&] {
                DataView(std::make_shared<FakeDataset>(std::vector<int64_t>{0, 1, label},
                                                       Names{"a", "b"}),
                         {});
              }),
              "sample 2 has the category " + std::to_string(label) + "; expected 0 to 1");
  }
  EXPECT_EQ(error_of([] { DataView(test::unlabelled(0), {}); }), "no samples are left");
  // A class that the dataset names but has no sample of.
  EXPECT_EQ(error_of([] {
              DataView(std::make_shared<FakeDataset>(std::vector<int64_t>{0}, Names{"a", "b"}),
                       Choice{.classes = {"b"}});
            }),
            "no samples are left");
}

TEST(SelectionSchema, WarnsOfASeedWithoutUse) {
  const std::vector<ParameterSpec>& specs = selection_schema().specs();
  ParameterValues values = defaults(specs);
  values["subset_seed"] = int64_t{3};
  const std::vector<Finding> idle = findings_without_effect(specs, values, {"subset_seed"});
  ASSERT_EQ(idle.size(), 1U);
  EXPECT_EQ(idle[0].message, "has no effect without per_class, skip_per_class or limit");
  for (const char* key : {"per_class", "skip_per_class", "limit"}) {
    ParameterValues chosen = values;
    chosen[key] = int64_t{3};
    EXPECT_TRUE(findings_without_effect(specs, chosen, {"subset_seed"}).empty()) << key;
  }
  EXPECT_EQ(faults(specs), std::vector<std::string>{});
}

}  // namespace
}  // namespace bissl::host
