#include "multi_crop.h"

#include "bissl/error.h"

#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace bissl {
namespace {

std::string size_of(const ImageShape& shape) {
  return fmt::format("{}x{}", shape.height, shape.width);
}

}  // namespace

int64_t declared_views(const PretextContext& context) {
  return std::max<int64_t>(full_size_views, int64_t(context.views.size()));
}

void require_full_size_first(const std::vector<ImageShape>& views, const char* made) {
  for (size_t i = 1; i < views.size(); ++i) {
    if (i < size_t(full_size_views) && !(views[i] == views[0])) {
      fail_input("{} of the first two views, which must have one size; they have {} and {}", made,
                 size_of(views[0]), size_of(views[i]));
    }
    if (views[i].height > views[0].height || views[i].width > views[0].width) {
      fail_input(
          "{} of the first two views, of {}, and view {} is larger, {}. Name the full-size views "
          "first",
          made, size_of(views[0]), i + 1, size_of(views[i]));
    }
  }
}

at::Tensor features_of_all(Backbone& backbone, const Views& views) {
  TensorList all;
  for (const at::Tensor& batch : joined_by_shape(views)) {
    all.push_back(backbone.forward(batch));
  }
  return at::cat(all);
}

}  // namespace bissl
