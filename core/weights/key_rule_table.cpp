// The rules that ship. Each names the program whose code writes or reads such files; its place of
// evidence is in docs/weights.md.

#include "weights/head_names.h"
#include "weights/key_rules.h"
#include "weights/timm_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {
namespace {

/// MoCo v3's projector of a vision transformer is "head.0" to "head.7", DINO's is "head.mlp" and
/// "head.last_layer".
const std::vector<std::string> heads = {"fc",        "classifier", "heads",    "head.weight",
                                        "head.bias", "head.fc",    "head.mlp", "head.0",
                                        "head.1",    "head.2",     "head.3",   "head.4",
                                        "head.5",    "head.6",     "head.7",   "head.last_layer"};
const std::vector<std::string> lightning = {"pytorch-lightning_version"};

std::vector<KeyRule> special_rules() {
  return {
      {.name = "vissl",
       .summary = "VISSL: the trunk of its model",
       .containers = {"classy_state_dict.base_model.model.trunk"},
       .prefixes = {"_feature_blocks.", "base_model._feature_blocks.", ""},
       .drop = heads},
      {.name = "moco-v3",
       .summary = "MoCo v3: the base encoder",
       .containers = {"state_dict"},
       .prefixes = {"module.base_encoder.", "base_encoder."},
       .drop = heads},
      {.name = "moco-v3-momentum",
       .summary = "MoCo v3: the momentum encoder",
       .containers = {"state_dict"},
       .prefixes = {"module.momentum_encoder.", "momentum_encoder."},
       .drop = heads},
      {.name = "moco",
       .summary = "MoCo v1 and v2: the query encoder",
       .containers = {"state_dict"},
       .prefixes = {"module.encoder_q.", "encoder_q."},
       .drop = heads},
      {.name = "ressl",
       .summary = "ReSSL: the query encoder's network",
       .containers = {"model", "state_dict"},
       .prefixes = {"module.encoder_q.net.", "encoder_q.net."},
       .drop = heads},
      {.name = "simsiam",
       .summary = "SimSiam: the encoder without its projector, which is called fc",
       .containers = {"state_dict"},
       .prefixes = {"module.encoder.", "encoder."},
       .drop = heads,
       .marks = {"module.predictor", "predictor"}},
      {.name = "dinov2",
       .summary = "DINOv2: a released backbone, or the teacher of a training checkpoint",
       .containers = {"teacher", ""},
       .prefixes = {"backbone.", ""},
       .drop = {"mask_token", "head"},
       .rename = {{"^register_tokens", "reg_token"}},
       .marks = {"mask_token", "backbone.mask_token"}},
      {.name = "dino",
       .summary = "DINO: the teacher",
       .containers = {"teacher"},
       .prefixes = {"module.backbone.", "backbone.", "module.", ""},
       .drop = {"head", "fc"}},
      {.name = "dino-student",
       .summary = "DINO: the student",
       .containers = {"student"},
       .prefixes = {"module.backbone.", "backbone.", "module.", ""},
       .drop = {"head", "fc"}},
      {.name = "mae",
       .summary = "MAE: the encoder",
       .containers = {"model"},
       .prefixes = {""},
       .drop = {"decoder_*", "mask_token", "head", "fc"},
       .marks = {"decoder_embed", "mask_token"}},
      {.name = "barlow-twins",
       .summary = "Barlow Twins: the backbone of a training checkpoint",
       .containers = {"model", "state_dict"},
       .prefixes = {"module.backbone.", "backbone."},
       .drop = heads,
       .marks = {"module.bn.running_mean", "bn.running_mean"}},
      {.name = "vicreg",
       .summary = "VICReg: the backbone of a training checkpoint",
       .containers = {"model"},
       .prefixes = {"module.backbone.", "backbone."},
       .drop = heads,
       .marks = {"module.projector", "projector"}},
      {.name = "swav",
       .summary = "SwAV and DeepCluster v2: the network without projection head and prototypes",
       .containers = {"state_dict", ""},
       .prefixes = {"module.", ""},
       .drop = {"projection_head", "prototypes", "fc"},
       .marks = {"module.projection_head", "module.prototypes*", "projection_head", "prototypes*"}},
  };
}

/// MMPretrain's names of the parts of vision transformers and ConvNeXts, none of which is a part of
/// a ResNet's names, as timm's.
const NameParts& parts_of_mmpretrain() {
  static const NameParts parts = {{"^patch_embed.projection", "patch_embed.proj"},
                                  {"^layers", "blocks"},
                                  {"^ln1", "norm"},
                                  {"ln1", "norm1"},
                                  {"ln2", "norm2"},
                                  {"ffn.layers.0.0", "mlp.fc1"},
                                  {"ffn.layers.1", "mlp.fc2"},
                                  {"^stages.0", "stages.0.blocks"},
                                  {"^stages.1", "stages.1.blocks"},
                                  {"^stages.2", "stages.2.blocks"},
                                  {"^stages.3", "stages.3.blocks"},
                                  {"^downsample_layers.0", "stem"},
                                  {"^downsample_layers.1", "stages.1.downsample"},
                                  {"^downsample_layers.2", "stages.2.downsample"},
                                  {"^downsample_layers.3", "stages.3.downsample"},
                                  {"depthwise_conv", "conv_dw"},
                                  {"pointwise_conv1", "mlp.fc1"},
                                  {"pointwise_conv2", "mlp.fc2"},
                                  {"^norm3", "head.norm"}};
  return parts;
}

std::vector<std::string> heads_and_mask_token() {
  std::vector<std::string> names = heads;
  names.emplace_back("mask_token");
  return names;
}

/// Programs that all call the network "backbone" in the state_dict of their training.
std::vector<KeyRule> backbone_rules() {
  return {
      {.name = "mmpretrain",
       .summary = "MMPretrain and mmselfsup: the backbone",
       .containers = {"state_dict"},
       .prefixes = {"backbone."},
       .drop = heads_and_mask_token(),
       .rename = parts_of_mmpretrain(),
       .keys = {"meta"}},
      {.name = "solo-learn",
       .summary = "solo-learn: the backbone, which old files call encoder",
       .containers = {"state_dict"},
       .prefixes = {"backbone.", "encoder."},
       .drop = heads,
       .marks = {"momentum_backbone", "momentum_encoder", "momentum_projector", "projector",
                 "predictor", "classifier", "prototypes"},
       .keys = lightning},
      {.name = "lightly",
       .summary = "lightly: the backbone of its benchmarks",
       .containers = {"state_dict"},
       .prefixes = {"backbone.vit.", "backbone.", "student_backbone.", "teacher_backbone."},
       .drop = heads,
       .marks = {"projection_head", "prediction_head", "online_classifier", "student_head"},
       .keys = lightning},
      {.name = "stable-pretraining",
       .summary = "stable-pretraining: the backbone of its module, of two the teacher",
       .containers = {"state_dict"},
       .prefixes = {"backbone.teacher.", "backbone."},
       .drop = heads,
       .keys = lightning},
  };
}

const std::vector<std::string> places = {"", "state_dict", "model"};
/// Of a network by itself: training on several devices puts it into a wrapper.
const std::vector<std::string> wrapped_or_not = {"module.", ""};

/// torchvision's own names of a transformer and of a ConvNeXt, as timm's, which the backbones have;
/// and a Swin transformer's.
std::vector<KeyRule> torchvision_rules() {
  constexpr int deepest = 48;
  KeyRule vit{.name = "torchvision-vit",
              .summary = "a vision transformer of torchvision: by itself, no classifier",
              .containers = places,
              .prefixes = wrapped_or_not,
              .drop = {"heads"},
              .rename = {{"^class_token", "cls_token"},
                         {"^conv_proj", "patch_embed.proj"},
                         {"^encoder.pos_embedding", "pos_embed"},
                         {"^encoder.ln", "norm"}},
              .marks = {"encoder.layers.encoder_layer_0", "module.encoder.layers.encoder_layer_0"}};
  for (int i = 0; i < deepest; ++i) {
    vit.rename.emplace_back(fmt::format("^encoder.layers.encoder_layer_{}", i),
                            fmt::format("blocks.{}", i));
  }
  for (const auto& [from, to] :
       {std::pair("ln_1", "norm1"), std::pair("ln_2", "norm2"),
        std::pair("self_attention.in_proj_weight", "attn.qkv.weight"),
        std::pair("self_attention.in_proj_bias", "attn.qkv.bias"),
        std::pair("self_attention.out_proj", "attn.proj"), std::pair("mlp.0", "mlp.fc1"),
        std::pair("mlp.3", "mlp.fc2"), std::pair("mlp.linear_1", "mlp.fc1"),
        std::pair("mlp.linear_2", "mlp.fc2")}) {
    vit.rename.emplace_back(from, to);
  }
  KeyRule convnext{.name = "torchvision-convnext",
                   .summary = "a ConvNeXt of torchvision: by itself, no classifier",
                   .containers = places,
                   .prefixes = wrapped_or_not,
                   .drop = {"classifier.2"},
                   .rename = {{"^features.0", "stem"},
                              {"^features.1", "stages.0.blocks"},
                              {"^features.2", "stages.1.downsample"},
                              {"^features.3", "stages.1.blocks"},
                              {"^features.4", "stages.2.downsample"},
                              {"^features.5", "stages.2.blocks"},
                              {"^features.6", "stages.3.downsample"},
                              {"^features.7", "stages.3.blocks"},
                              {"block.0", "conv_dw"},
                              {"block.2", "norm"},
                              {"block.3", "mlp.fc1"},
                              {"block.5", "mlp.fc2"},
                              {"layer_scale", "gamma"},
                              {"^classifier.0", "head.norm"}},
                   .marks = {"features.1.0.layer_scale", "module.features.1.0.layer_scale"}};
  // Its names are the backbone's. Without a rule of its own the classifier would be in the way.
  KeyRule swin{.name = "torchvision-swin",
               .summary = "a Swin transformer of torchvision: no prefix, no classifier",
               .containers = places,
               .drop = {"head"},
               .marks = {"features.1.0.attn.relative_position_bias_table"}};
  return {std::move(vit), std::move(convnext), std::move(swin)};
}

/// timm's names of networks that have torchvision's here. Both rules know the layers around the
/// blocks; the network's own finds its blocks, too.
std::vector<KeyRule> timm_rules() {
  return {
      {.name = "timm-mobilenet-v2",
       .summary = "a MobileNetV2 of timm: by itself, no classifier",
       .containers = places,
       .prefixes = wrapped_or_not,
       .drop = {"classifier"},
       .rename = turned_round(timm_names_of_mobilenet_v2()),
       .marks = {"conv_stem", "module.conv_stem"}},
      {.name = "timm-efficientnet-b0",
       .summary = "an EfficientNet-B0 of timm: by itself, no classifier",
       .containers = places,
       .prefixes = wrapped_or_not,
       .drop = {"classifier"},
       .rename = turned_round(timm_names_of_efficientnet_b0()),
       .marks = {"conv_stem", "module.conv_stem"}},
  };
}

std::vector<KeyRule> plain_rules() {
  return {
      {.name = "torchvision",
       .summary = "torchvision, and released backbones with its names: no prefix, no classifier",
       .containers = places,
       .drop = {"fc", "classifier", "heads"}},
      {.name = "timm",
       .summary = "timm: no prefix, no classifier; a norm in front of it is the backbone's",
       .containers = places,
       .drop = {"fc", "classifier", "head.fc", "head.weight", "head.bias"}},
      {.name = "bissl-reference",
       .summary = "the files of BiSSL's published code: the backbone by itself",
       .containers = {""}},
      {.name = "resnet-children",
       .summary = "a ResNet of torchvision cut into numbered children: "
                  "nn.Sequential(*list(resnet.children())[:-1])",
       .containers = {"state_dict", "model", ""},
       .prefixes = {"backbone.", "module.backbone.", "encoder.", "module.", "features.", "f.", ""},
       .rename = {{"^0", "conv1"},
                  {"^1", "bn1"},
                  {"^4", "layer1"},
                  {"^5", "layer2"},
                  {"^6", "layer3"},
                  {"^7", "layer4"}},
       .marks = {"*4.0.conv1.weight"}},
  };
}

}  // namespace

const std::vector<std::string>& head_names() { return heads; }

const std::vector<KeyRule>& key_rules() {
  static const std::vector<KeyRule> rules = [] {
    std::vector<KeyRule> all = special_rules();
    for (auto* more : {&backbone_rules, &torchvision_rules, &timm_rules, &plain_rules}) {
      for (KeyRule& rule : more()) {
        all.push_back(std::move(rule));
      }
    }
    return all;
  }();
  return rules;
}

const KeyRule* find_key_rule(const std::string& name) {
  const auto found = std::find_if(key_rules().begin(), key_rules().end(),
                                  [&](const KeyRule& rule) { return rule.name == name; });
  return found == key_rules().end() ? nullptr : &*found;
}

}  // namespace bissl::host
