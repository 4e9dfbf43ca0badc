#include "targets.h"

#include "bissl/error.h"

#include <cstdio>
#include <cstdlib>

namespace bissl::host::test {

void refusing(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) {
      throw;
    }
  }
}

void promise(bool kept, const char* text) {
  if (!kept) {
    std::fprintf(stderr, "broken promise: %s\n", text);
    std::abort();
  }
}

const std::vector<FuzzTarget>& fuzz_targets() {
  static const std::vector<FuzzTarget> targets = {
      {"toml", fuzz_toml},
      {"ablation", fuzz_ablation},
      {"plan", fuzz_plan},
      {"safetensors", fuzz_safetensors},
      {"pickle", fuzz_pickle},
      {"weights", fuzz_weights},
      {"idx", fuzz_idx},
      {"stage_record", fuzz_stage_record},
      {"event_log", fuzz_event_log},
      {"tar", fuzz_tar},
      {"shards", fuzz_shards},
      {"layout_lists", fuzz_layout_lists},
      {"mask", fuzz_mask},
      {"cifar_pickle", fuzz_cifar_pickle},
      {"cifar_binary", fuzz_cifar_binary},
      {"stl10", fuzz_stl10},
      {"gzip", fuzz_gzip},
      {"pixel_file", fuzz_pixel_file},
      {"mat", fuzz_mat},
      {"bmp", fuzz_bmp},
      {"gif", fuzz_gif},
      {"image_list", fuzz_image_list},
      {"jpeg", fuzz_jpeg},
      {"png", fuzz_png},
      {"pnm", fuzz_pnm},
      {"tiff", fuzz_tiff},
      {"webp", fuzz_webp},
  };
  return targets;
}

}  // namespace bissl::host::test
