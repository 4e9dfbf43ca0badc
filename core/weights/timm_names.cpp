#include "weights/timm_names.h"

#include <fmt/format.h>

namespace bissl::host {
namespace {

/// What is at the beginning of a name on both sides; turned_round() moves the "^".
void add_beginning(NameParts& parts, const std::string& torchvision, const std::string& timm) {
  parts.emplace_back("^" + torchvision, timm);
}

/// The layers in front of the blocks and behind them; `last` is torchvision's number of the latter.
NameParts around_blocks(int last) {
  NameParts parts;
  add_beginning(parts, "features.0.0", "conv_stem");
  add_beginning(parts, "features.0.1", "bn1");
  add_beginning(parts, fmt::format("features.{}.0", last), "conv_head");
  add_beginning(parts, fmt::format("features.{}.1", last), "bn2");
  return parts;
}

}  // namespace

NameParts timm_names_of_mobilenet_v2() {
  constexpr int last = 18;
  NameParts parts = around_blocks(last);
  // The first block does not widen, and timm numbers its layers as those of another kind.
  add_beginning(parts, "features.1.conv.0.0", "blocks.0.0.conv_dw");
  add_beginning(parts, "features.1.conv.0.1", "blocks.0.0.bn1");
  add_beginning(parts, "features.1.conv.1", "blocks.0.0.conv_pw");
  add_beginning(parts, "features.1.conv.2", "blocks.0.0.bn2");
  int number = 2;
  int stage = 1;
  for (const int blocks : {2, 3, 4, 3, 3, 1}) {
    for (int block = 0; block < blocks; ++block) {
      add_beginning(parts, fmt::format("features.{}", number++),
                    fmt::format("blocks.{}.{}", stage, block));
    }
    ++stage;
  }
  for (const auto& [torchvision, timm] :
       {std::pair("conv.0.0", "conv_pw"), std::pair("conv.0.1", "bn1"),
        std::pair("conv.1.0", "conv_dw"), std::pair("conv.1.1", "bn2"),
        std::pair("conv.2", "conv_pwl"), std::pair("conv.3", "bn3")}) {
    parts.emplace_back(torchvision, timm);
  }
  return parts;
}

NameParts timm_names_of_efficientnet_b0() {
  constexpr int last = 8;
  NameParts parts = around_blocks(last);
  for (const auto& [torchvision, timm] :
       {std::pair("0.0", "conv_dw"), std::pair("0.1", "bn1"), std::pair("1.fc1", "se.conv_reduce"),
        std::pair("1.fc2", "se.conv_expand"), std::pair("2.0", "conv_pw"),
        std::pair("2.1", "bn2")}) {
    add_beginning(parts, fmt::format("features.1.0.block.{}", torchvision),
                  fmt::format("blocks.0.0.{}", timm));
  }
  for (int stage = 1; stage < last - 1; ++stage) {
    add_beginning(parts, fmt::format("features.{}", stage + 1), fmt::format("blocks.{}", stage));
  }
  for (const auto& [torchvision, timm] :
       {std::pair("block.0.0", "conv_pw"), std::pair("block.0.1", "bn1"),
        std::pair("block.1.0", "conv_dw"), std::pair("block.1.1", "bn2"),
        std::pair("block.2.fc1", "se.conv_reduce"), std::pair("block.2.fc2", "se.conv_expand"),
        std::pair("block.3.0", "conv_pwl"), std::pair("block.3.1", "bn3")}) {
    parts.emplace_back(torchvision, timm);
  }
  return parts;
}

NameParts turned_round(const NameParts& parts) {
  NameParts turned;
  for (const auto& [from, to] : parts) {
    if (from.starts_with('^')) {
      turned.emplace_back("^" + to, from.substr(1));
    } else {
      turned.emplace_back(to, from);
    }
  }
  return turned;
}

}  // namespace bissl::host
