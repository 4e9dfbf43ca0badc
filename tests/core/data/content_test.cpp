#include "data/content.h"

#include "fake_data.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

/// Images of 2 x 2 pixels of three channels, each from a number: an even one gives an image of one
/// value, whose channels differ.
class Patches : public Dataset {
 public:
  explicit Patches(std::vector<uint8_t> numbers, std::vector<int64_t> labels = {},
                   std::vector<std::string> classes = {})
      : numbers_(std::move(numbers)), labels_(std::move(labels)), classes_(std::move(classes)) {}

  int64_t size() const override { return static_cast<int64_t>(numbers_.size()); }
  Sample get(int64_t index) const override {
    const uint8_t number = numbers_.at(static_cast<size_t>(index));
    const auto second = static_cast<uint8_t>(number % 2 == 0 ? number : number + 1);
    auto pixels = std::make_shared<std::vector<uint8_t>>(
        std::vector<uint8_t>{number, 7, 9, second, 7, 9, number, 7, 9, number, 7, 9});
    const uint8_t* data = pixels->data();
    return {{{3, 2, 2}, data, std::move(pixels)}, target(index)};
  }
  Target target(int64_t index) const override {
    return {.category = labels_.empty() ? -1 : labels_.at(static_cast<size_t>(index))};
  }
  TargetSpec targets() const override {
    return classes_.empty() ? TargetSpec{} : TargetSpec::named(TargetKind::category, classes_);
  }
  std::string fingerprint() const override { return "patches"; }

 private:
  std::vector<uint8_t> numbers_;
  std::vector<int64_t> labels_;
  std::vector<std::string> classes_;
};

DataView view_of(std::vector<uint8_t> numbers) {
  return {std::make_shared<Patches>(std::move(numbers)), {}};
}

TEST(Content, CountsImagesOfOneValueAndDifferentOnes) {
  const DataContent content = content_of(view_of({1, 3, 3, 4, 4, 6, 5}));
  EXPECT_EQ(content.samples, 7);
  EXPECT_TRUE(content.complete());
  EXPECT_EQ(content.one_value, 3);
  EXPECT_EQ(content.distinct, 5);
  EXPECT_EQ(content_of(view_of({9, 9, 9, 9})).distinct, 1);
}

TEST(Content, FindsWhatTwoSourcesShareByTheirPixels) {
  const DataContent train = content_of(view_of({1, 3, 5, 7, 9, 9}));
  EXPECT_EQ(shared_images(content_of(view_of({9, 11, 1, 9})), train), 2);
  EXPECT_EQ(shared_images(content_of(view_of({11, 13})), train), 0);
  EXPECT_EQ(shared_images(train, train), 5);
  // The same bytes in another shape are another image.
  const DataContent pixels = content_of(DataView(unlabelled(3), {}));
  EXPECT_EQ(pixels.distinct, 3);
  EXPECT_EQ(pixels.one_value, 0);
  EXPECT_EQ(shared_images(pixels, train), 0);
}

TEST(Content, SettlesForAPartThatIsSpreadOverTheSource) {
  std::vector<uint8_t> numbers(200);
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = i < 100 ? 1 : 2;
  }
  const DataContent part = content_of(view_of(numbers), {.samples = 50, .seconds = 100});
  EXPECT_EQ(part.samples, 200);
  EXPECT_EQ(part.looked_at, 50);
  EXPECT_FALSE(part.complete());
  EXPECT_EQ(part.distinct, 2);
  EXPECT_GE(part.one_value, 20);
  EXPECT_LE(part.one_value, 30);
  const DataContent brief = content_of(view_of(numbers), {.samples = 200, .seconds = 0});
  EXPECT_GT(brief.looked_at, 0);
  EXPECT_LT(brief.looked_at, 200);
}

TEST(Content, ClassesAreCountedBeforeAndAfterTheChoice) {
  const auto dataset = std::make_shared<Patches>(std::vector<uint8_t>{1, 3, 5, 7, 9, 11},
                                                 std::vector<int64_t>{0, 0, 0, 2, 2, 1},
                                                 std::vector<std::string>{"a", "b", "c", "d"});
  const DataView view(
      dataset,
      SelectionOptions{.classes = {"c", "a", "d"}, .per_class = {}, .limit = 1, .cache = {}});
  EXPECT_EQ(view.available(), (std::vector<int64_t>{2, 3, 0}));
  const std::vector<int64_t> counts = samples_by_class(view);
  EXPECT_EQ(counts[0] + counts[1], 1);
  EXPECT_EQ(counts[2], 0);
  EXPECT_EQ(samples_by_class(DataView(dataset, {})), (std::vector<int64_t>{3, 1, 2, 0}));
}

TEST(Content, AnImageThatCannotBeReadIsAnError) {
  auto dataset = unlabelled(9);
  dataset->broken_sample = 4;
  const DataView view(dataset, {});
  EXPECT_THROW(content_of(view), Error);
}

}  // namespace
}  // namespace bissl::host::test
