#include "weights/torch_writer.h"

#include "bissl/error.h"
#include "reference/golden.h"
#include "weights/weights_file.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

TEST(TorchWriter, IsReadBackEqual) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "w.pth";
  NamedTensors tensors = {{"layer.weight", pattern(1, {3, 4}).to(at::kFloat)},
                          {"transposed", pattern(2, {3, 4}).t()},
                          {"scalar", at::ones({}, at::kLong)},
                          {"empty", at::zeros({0, 2}, at::kHalf)},
                          {"flags", at::ones({3}, at::kBool)}};
  write_torch_file(file, tensors);
  const WeightsFile read(file);
  ASSERT_EQ(read.dicts().size(), 1U);
  ASSERT_EQ(read.dicts()[0].tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const StoredTensor& stored = read.dicts()[0].tensors[i];
    EXPECT_EQ(stored.name, tensors[i].name);
    EXPECT_EQ(stored.type, tensors[i].tensor.scalar_type());
    EXPECT_TRUE(at::equal(read.read(stored), tensors[i].tensor));
  }
}

TEST(TorchWriter, TheSameTensorsMakeTheSameBytes) {
  const TemporaryFolder folder;
  const NamedTensors tensors = {{"a", pattern(1, {5})}};
  write_torch_file(folder.path() / "one.pth", tensors);
  write_torch_file(folder.path() / "two.pth", tensors);
  EXPECT_EQ(read_file(folder.path() / "one.pth"), read_file(folder.path() / "two.pth"));
}

TEST(TorchWriter, RefusesWhatTheFormatCannotHold) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "w.pth";
  EXPECT_THROW(write_torch_file(file, {{"a", at::ones({1})}, {"a", at::ones({1})}}), Error);
  EXPECT_THROW(write_torch_file(file, {{"a", at::ones({1}, at::kComplexFloat)}}), Error);
  EXPECT_THROW(write_torch_file(file, {{"a", at::Tensor()}}), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace bissl::host::test
