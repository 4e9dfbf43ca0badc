// How images lie in memory when a backbone gets them.

#include "models/memory_format.h"

#include "models/gradients.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

at::Tensor images_of(int64_t channels) {
  return torch::sin(torch::arange(2 * channels * 12, torch::kFloat)).view({2, channels, 3, 4});
}

class ChannelsLastTest : public ::testing::Test {
 protected:
  ~ChannelsLastTest() override { set_channels_last(false); }
};

TEST_F(ChannelsLastTest, IsAChoice) {
  const at::Tensor images = images_of(3);
  EXPECT_FALSE(channels_last());
  EXPECT_TRUE(in_memory_format(images).is_same(images));
  set_channels_last(true);
  EXPECT_TRUE(channels_last());
  EXPECT_FALSE(in_memory_format(images).is_same(images));
}

/// Gray images are contiguous in both formats; what a convolution makes of them is in that which
/// their strides have.
TEST_F(ChannelsLastTest, HoldsForGrayAndColourAndChangesNoNumber) {
  set_channels_last(true);
  for (const int64_t channels : {1, 3}) {
    const at::Tensor images = images_of(channels);
    const at::Tensor found = in_memory_format(images);
    EXPECT_EQ(found.suggest_memory_format(), at::MemoryFormat::ChannelsLast) << channels;
    EXPECT_TRUE(found.equal(images)) << channels;
    EXPECT_TRUE(in_memory_format(found).is_same(found)) << channels;
  }
  const at::Tensor vectors = torch::ones({4, 5});
  EXPECT_TRUE(in_memory_format(vectors).is_same(vectors));
}

TEST_F(ChannelsLastTest, PassesGradientsOn) {
  set_channels_last(true);
  const at::Tensor images = images_of(3).requires_grad_();
  const TensorList gradients = gradients_of(in_memory_format(images).square().sum(), {images});
  EXPECT_TRUE(gradients[0].allclose(images.detach() * 2));
}

}  // namespace
}  // namespace bissl::host
