#include "weights/naming.h"

#include <algorithm>

namespace bissl::host {
namespace {

/// A tensor that only one family of networks has under that name.
struct Mark {
  const char* tensor;
  std::vector<std::string> programs;
};

const std::vector<Mark>& marks() {
  static const std::vector<Mark> all = {
      {"layer4.0.bn1.weight", {"torchvision", "timm"}},                     // ResNets
      {"features.1.0.attn.relative_position_bias_table", {"torchvision"}},  // Swin
      {"features.1.running_mean", {"torchvision"}},                         // VGG
      {"features.1.conv.0.0.weight", {"torchvision"}},                      // MobileNet v2
      {"features.1.0.block.0.0.weight", {"torchvision"}},                   // EfficientNet
      {"blocks.0.attn.qkv.weight", {"timm"}},                               // vision transformers
      {"stages.0.blocks.0.conv_dw.weight", {"timm"}},                       // ConvNeXt
      {"blocks.0.0.fn.0.weight", {"timm"}},                                 // ConvMixer
  };
  return all;
}

}  // namespace

std::vector<std::string> programs_with_names(const std::vector<std::string>& tensors) {
  for (const Mark& mark : marks()) {
    if (std::find(tensors.begin(), tensors.end(), mark.tensor) != tensors.end()) {
      return mark.programs;
    }
  }
  return {};
}

}  // namespace bissl::host
