#include "patches.h"

#include "bissl/error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>

#include <cmath>

namespace bissl {

PatchGrid grid_of(const Tokens::Patch& patch, int64_t height, int64_t width,
                  const std::string& owner) {
  if (height % patch.height != 0 || width % patch.width != 0) {
    fail_input(
        "patches of {}x{} pixels ({}) do not cut a view of {}x{} into whole ones. Take views, or "
        "patches, of another size",
        patch.height, patch.width, owner, height, width);
  }
  return {.rows = height / patch.height, .columns = width / patch.width};
}

TokenForm require_tokens(const PretextContext& context) {
  Tokens& tokens = context.require<Tokens>();
  TokenForm form{.patch = tokens.patch(),
                 .width = tokens.token_width(),
                 .extra = tokens.extra_tokens(),
                 .backbone = context.backbone_name};
  for (const ImageShape& view : context.views) {
    grid_of(form.patch, view.height, view.width, form.backbone);
  }
  return form;
}

at::Tensor patches_of(const at::Tensor& images, const Tokens::Patch& patch) {
  const int64_t rows = images.size(2) / patch.height;
  const int64_t columns = images.size(3) / patch.width;
  return images.reshape({images.size(0), images.size(1), rows, patch.height, columns, patch.width})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({images.size(0), rows * columns, -1});
}

at::Tensor image_of(const at::Tensor& patches, const Tokens::Patch& patch, const PatchGrid& grid) {
  const int64_t channels = patches.size(2) / (patch.height * patch.width);
  return patches
      .reshape({patches.size(0), grid.rows, grid.columns, channels, patch.height, patch.width})
      .permute({0, 3, 1, 4, 2, 5})
      .reshape({patches.size(0), channels, grid.rows * patch.height, grid.columns * patch.width});
}

at::Tensor random_places(int64_t samples, int64_t places, int64_t count) {
  const at::Tensor order = at::rand({samples, places}).argsort(/*stable=*/true, 1);
  return at::zeros({samples, places}, at::kBool).scatter_(1, order.narrow(1, 0, count), true);
}

at::Tensor places_of(const at::Tensor& chosen) {
  return chosen.nonzero().select(1, 1).reshape({chosen.size(0), -1});
}

at::Tensor rows_at(const at::Tensor& rows, const at::Tensor& places) {
  return rows.gather(1, places.unsqueeze(2).expand({-1, -1, rows.size(2)}));
}

int64_t share_of(const char* key, double part, int64_t all) {
  const auto count = int64_t(std::llround(part * double(all)));
  if (count < 1 || count >= all) {
    fail_input("{} = {} of {} patches is {} of them: take smaller patches or another share", key,
               part, all, count < 1 ? "none" : "all");
  }
  return count;
}

}  // namespace bissl
