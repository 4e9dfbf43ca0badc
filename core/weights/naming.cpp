#include "weights/naming.h"

#include "bissl/error.h"
#include "store/safetensors_header.h"
#include "weights/name_pattern.h"
#include "weights/timm_names.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace bissl::host {
namespace {

/// What a program calls the last layer of a network whose tensors it has.
struct Classifier {
  const char* program;
  const char* name;  ///< empty: it has several layers
};

/// Networks whose tensors are called alike.
struct Family {
  const char* mark;                     ///< a tensor that only this family has under that name
  std::vector<std::string> programs;    ///< that call the backbone's tensors as bissl does
  std::vector<Classifier> classifiers;  ///< of all programs whose names of them are known
};

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {"layer4.0.bn1.weight",
       {"torchvision", "timm"},
       {{"torchvision", "fc"}, {"timm", "fc"}}},  // ResNets
      {"features.1.0.attn.relative_position_bias_table",
       {"torchvision"},
       {{"torchvision", "head"}}},
      {"features.1.running_mean", {"torchvision"}, {{"torchvision", ""}}},  // VGG
      {"features.1.conv.0.0.weight",                                        // MobileNetV2
       {"torchvision"},
       {{"torchvision", "classifier.1"}, {"timm", "classifier"}}},
      {"features.1.0.block.0.0.weight",  // EfficientNet
       {"torchvision"},
       {{"torchvision", "classifier.1"}, {"timm", "classifier"}}},
      {"blocks.0.attn.qkv.weight", {"timm"}, {{"timm", "head"}, {"torchvision", "heads.head"}}},
      {"stages.0.blocks.0.conv_dw.weight",
       {"timm"},
       {{"timm", "head.fc"}, {"torchvision", "classifier.2"}}},
      {"blocks.0.0.fn.0.weight", {"timm"}, {{"timm", "head"}}},  // ConvMixer
  };
  return all;
}

/// Null for names of a family that is not known.
const Family* family_of(const std::vector<std::string>& tensors) {
  const auto found = std::find_if(families().begin(), families().end(), [&](const Family& family) {
    return std::find(tensors.begin(), tensors.end(), family.mark) != tensors.end();
  });
  return found == families().end() ? nullptr : &*found;
}

/// How the names of a family become those of the program that calls it otherwise.
struct Renaming {
  const char* networks;
  NameParts parts;
  std::vector<std::string> needs = {};  ///< tensors that all of the program's networks have
  std::vector<std::string> lacks = {};  ///< patterns of tensors that none of them has
  std::string blocks = {};  ///< what a "blocks." at the beginning becomes; empty: it stays
};

const Renaming& transformers_of_torchvision() {
  static const Renaming renaming = {"vision transformers",
                                    {{"^cls_token", "class_token"},
                                     {"^pos_embed", "encoder.pos_embedding"},
                                     {"^patch_embed.proj", "conv_proj"},
                                     {"^norm", "encoder.ln"},
                                     {"norm1", "ln_1"},
                                     {"norm2", "ln_2"},
                                     {"attn.qkv.weight", "self_attention.in_proj_weight"},
                                     {"attn.qkv.bias", "self_attention.in_proj_bias"},
                                     {"attn.proj", "self_attention.out_proj"},
                                     {"mlp.fc1", "mlp.0"},
                                     {"mlp.fc2", "mlp.3"}},
                                    {"cls_token", "pos_embed"},
                                    {"reg_token", "*.ls1.gamma", "*.ls2.gamma"},
                                    "encoder.layers.encoder_layer_"};
  return renaming;
}

const Renaming& convnexts_of_torchvision() {
  static const Renaming renaming = {"ConvNeXts",
                                    {{"^head.norm", "classifier.0"},
                                     {"^stem", "features.0"},
                                     {"^stages.0.blocks", "features.1"},
                                     {"^stages.1.downsample", "features.2"},
                                     {"^stages.1.blocks", "features.3"},
                                     {"^stages.2.downsample", "features.4"},
                                     {"^stages.2.blocks", "features.5"},
                                     {"^stages.3.downsample", "features.6"},
                                     {"^stages.3.blocks", "features.7"},
                                     {"conv_dw", "block.0"},
                                     {"norm", "block.2"},
                                     {"mlp.fc1", "block.3"},
                                     {"mlp.fc2", "block.5"},
                                     {"gamma", "layer_scale"}},
                                    {"stages.3.blocks.0.gamma", "head.norm.weight"},
                                    {"stages.4"}};
  return renaming;
}

/// Of a family of which a program has other names, which are known.
const Renaming& renaming_of(const Family& family) {
  static const Renaming mobilenets = {"MobileNets", timm_names_of_mobilenet_v2()};
  static const Renaming efficientnets = {"EfficientNets", timm_names_of_efficientnet_b0()};
  const std::string_view mark = family.mark;
  if (mark.starts_with("features.1.conv")) {
    return mobilenets;
  }
  if (mark.starts_with("features.1.0.block")) {
    return efficientnets;
  }
  return mark.starts_with("stages") ? convnexts_of_torchvision() : transformers_of_torchvision();
}

std::string name_by(const Renaming& renaming, std::string name) {
  for (const auto& [from, to] : renaming.parts) {
    name = with_parts_replaced(name, from, to);
  }
  constexpr std::string_view blocks = "blocks.";
  return !renaming.blocks.empty() && name.starts_with(blocks)
             ? renaming.blocks + name.substr(blocks.size())
             : name;
}

/// The tensor in the shape that torchvision's ConvNeXts have it in: a factor of a channel as
/// [C, 1, 1], a linear layer never as a convolution. Those of other networks have no such names.
at::Tensor in_their_shape(const std::string& name, const at::Tensor& tensor) {
  if (name.ends_with(".layer_scale") && tensor.dim() == 1) {
    return tensor.reshape({tensor.size(0), 1, 1});
  }
  const bool linear = name.ends_with(".block.3.weight") || name.ends_with(".block.5.weight");
  if (linear && tensor.dim() == 4 && tensor.size(2) == 1 && tensor.size(3) == 1) {
    return tensor.reshape({tensor.size(0), tensor.size(1)});
  }
  return tensor;
}

/// The backbone's tensors under the program's names.
NamedTensors tensors_by(const Renaming& renaming, const std::string& program,
                        const NamedTensors& backbone, const std::vector<std::string>& names) {
  for (const std::string& needed : renaming.needs) {
    if (std::find(names.begin(), names.end(), needed) == names.end()) {
      fail_input("--names {}: the backbone has no {}, which {}'s {} all have", program,
                 shown_name(needed), program, renaming.networks);
    }
  }
  NamedTensors tensors;
  for (const auto& [name, tensor] : backbone) {
    if (fits_any(renaming.lacks, name)) {
      fail_input("--names {}: the backbone has a {}, which none of {}'s {} has", program,
                 shown_name(name), program, renaming.networks);
    }
    std::string theirs = name_by(renaming, name);
    at::Tensor values = in_their_shape(theirs, tensor);
    tensors.emplace_back(std::move(theirs), std::move(values));
  }
  return tensors;
}

/// Appends the head's tensors as the program's last layer.
void add_classifier(NamedTensors& tensors, const NamedTensors& head, const Classifier& classifier) {
  constexpr std::string_view layer = "fc";
  const std::string last = classifier.name;
  for (const auto& [name, tensor] : head) {
    if (last.empty() || (name != "fc.weight" && name != "fc.bias")) {
      fail_input(
          "--names {}: the head has a {}, and the classifier of {}'s network {}: leave the head "
          "out by --no-head",
          classifier.program, shown_name(name), classifier.program,
          last.empty() ? "has several layers" : "is one linear layer");
    }
    tensors.emplace_back(last + name.substr(layer.size()), tensor);
  }
}

}  // namespace

std::vector<std::string> programs_with_names(const std::vector<std::string>& tensors) {
  const Family* family = family_of(tensors);
  return family == nullptr ? std::vector<std::string>{} : family->programs;
}

NamedTensors with_names_of(const std::string& program, const NamedTensors& backbone,
                           const NamedTensors& head) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : backbone) {
    names.push_back(name);
  }
  const Family* family = family_of(names);
  if (family == nullptr) {
    fail_input(
        "--names {}: the backbone's tensors have names of their own, and {}'s names of it are not "
        "known: leave --names away",
        program, program);
  }
  const std::vector<Classifier>& known = family->classifiers;
  const auto classifier = std::find_if(
      known.begin(), known.end(), [&](const Classifier& one) { return one.program == program; });
  if (classifier == known.end()) {
    fail_input(
        "--names {}: the backbone's tensors have {}'s names, and {}'s names of it are not known: "
        "leave --names away, or give --names {}",
        program, family->programs.front(), program, family->programs.front());
  }
  const bool same = std::find(family->programs.begin(), family->programs.end(), program) !=
                    family->programs.end();
  NamedTensors tensors =
      same ? backbone : tensors_by(renaming_of(*family), program, backbone, names);
  add_classifier(tensors, head, *classifier);
  return tensors;
}

}  // namespace bissl::host
