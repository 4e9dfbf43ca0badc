#include "bissl/views.h"

#include "bissl/error.h"
#include "bissl/view_geometry.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

namespace bissl::host {
namespace {

/// Views of two samples each, in one buffer.
Views in_one_buffer(int64_t count) {
  const at::Tensor buffer = at::arange(count * 2 * 3, at::kFloat).reshape({count, 2, 3});
  Views views;
  for (int64_t v = 0; v < count; ++v) {
    views.push_back(buffer[v]);
  }
  return views;
}

TEST(Views, OfOneBufferAreJoinedWithoutACopy) {
  const Views views = in_one_buffer(3);
  const at::Tensor all = joined(views);
  EXPECT_TRUE(all.equal(at::cat(views)));
  EXPECT_EQ(all.data_ptr(), views[0].data_ptr());
  EXPECT_EQ(joined({views[1]}).data_ptr(), views[1].data_ptr());
}

TEST(Views, ThatAreNotNeighboursAreCopied) {
  const Views views = in_one_buffer(3);
  for (const Views& some :
       {Views{views[1], views[0]}, Views{views[0], views[2]}, Views{views[0], views[1].clone()},
        Views{views[0], views[1].t().contiguous().t()}}) {
    const at::Tensor all = joined(some);
    EXPECT_TRUE(all.equal(at::cat(some)));
    EXPECT_NE(all.data_ptr(), some[0].data_ptr());
  }
}

TEST(Views, OfSeveralShapesAreABatchForEach) {
  Views views = in_one_buffer(2);
  EXPECT_THROW(joined({}), Error);
  for (const at::Tensor& small : in_one_buffer(3)) {
    views.push_back(small.narrow(1, 0, 1));
  }
  EXPECT_THROW(joined(views), Error);
  const TensorList batches = joined_by_shape(views);
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_EQ(batches[0].sizes(), (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(batches[1].sizes(), (std::vector<int64_t>{6, 1}));
  EXPECT_TRUE(batches[1].equal(at::cat({views[2], views[3], views[4]})));
  EXPECT_TRUE(joined_by_shape({}).empty());
}

TEST(Views, StayNeighboursWhenTheyAreConverted) {
  Views views = in_one_buffer(2);
  views.push_back(at::zeros({2, 1}));
  const Views doubles = converted(views, at::kDouble);
  ASSERT_EQ(doubles.size(), 3U);
  for (size_t v = 0; v < views.size(); ++v) {
    EXPECT_EQ(doubles[v].scalar_type(), at::kDouble);
    EXPECT_TRUE(doubles[v].equal(views[v].to(at::kDouble)));
  }
  EXPECT_EQ(joined({doubles[0], doubles[1]}).data_ptr(), doubles[0].data_ptr());
  EXPECT_EQ(converted(views, at::kFloat)[1].data_ptr(), views[1].data_ptr());
}

TEST(ViewGeometry, LeadsFromTheViewToTheImage) {
  // The box from (10, 4) on, 8 wide and 6 high, as a view of 4x3, exchanged left and right.
  const ViewGeometry box{.xx = 2, .x0 = 10, .yy = 2, .y0 = 4};
  const ViewGeometry view = box * flipped(4);
  EXPECT_EQ(view(0, 0), (std::array<double, 2>{18, 4}));
  EXPECT_EQ(view(4, 3), (std::array<double, 2>{10, 10}));
  EXPECT_EQ(box * ViewGeometry{}, box);
  // A quarter turn, as xy and yx.
  const ViewGeometry turn{.xx = 0, .xy = 1, .yx = -1, .yy = 0, .y0 = 5};
  EXPECT_EQ((box * turn)(1, 2), box(turn(1, 2)[0], turn(1, 2)[1]));
  EXPECT_EQ((turn * box)(1, 2), turn(box(1, 2)[0], box(1, 2)[1]));
}

}  // namespace
}  // namespace bissl::host
