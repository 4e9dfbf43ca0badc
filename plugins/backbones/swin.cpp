#include "fast_layers.h"
#include "map_network.h"
#include "networks.h"
#include "recompute.h"
#include "swin_windows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/roll.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>

#include <charconv>
#include <cmath>
#include <numeric>

namespace bissl {
namespace {

// Maps are (N, H, W, C) throughout.

struct SwinOptions {
  int64_t patch = 4;
  int64_t width = 96;
  std::vector<int64_t> depths{2, 2, 6, 2};
  std::vector<int64_t> heads{3, 6, 12, 24};
  int64_t window = 7;
  double mlp_ratio = 4;
  double drop_path = 0;
  bool recompute = false;
};

Schema<SwinOptions> swin_schema() {
  Schema<SwinOptions> schema;
  schema.add("patch", &SwinOptions::patch, "height and width of a patch; 1 or 2 for small images")
      .at_least(1)
      .at_most(1024)
      .unit("pixels");
  schema
      .add("width", &SwinOptions::width, "channels of the first stage; each has twice those before")
      .at_least(1)
      .at_most(2048)
      .unit("channels");
  schema.add("depths", &SwinOptions::depths, "blocks of each stage")
      .length(4)
      .at_least(1)
      .at_most(128);
  schema
      .add("heads", &SwinOptions::heads,
           "heads of each stage's attention, which share its channels")
      .length(4)
      .at_least(1)
      .at_most(1024);
  schema
      .add("window", &SwinOptions::window,
           "height and width of the windows within which places attend to each other")
      .at_least(1)
      .at_most(64)
      .unit("places");
  schema
      .add("mlp_ratio", &SwinOptions::mlp_ratio,
           "hidden channels of a block's perceptron for each channel of its map")
      .more_than(0)
      .at_most(64);
  schema
      .add("drop_path", &SwinOptions::drop_path,
           "probability that training leaves out a branch of the last block; it falls to 0 at the "
           "first")
      .at_least(0)
      .less_than(1);
  add_recompute(schema, &SwinOptions::recompute);
  schema.rule([](const SwinOptions& options, std::vector<Finding>& findings) {
    for (size_t i = 0; i < options.heads.size(); ++i) {
      const int64_t width = options.width << i;
      if (width % options.heads[i] != 0) {
        findings.push_back(
            {Finding::Severity::error, "heads",
             fmt::format("must divide the channels of each stage; {} does not divide the {} of "
                         "stage {}",
                         options.heads[i], width, i + 1)});
        return;
      }
    }
  });
  return schema;
}

constexpr double swin_epsilon = 1e-5;

/// Linear layers normal with deviation 0.02, biases 0, as torchvision starts them.
Linear swin_linear(int64_t in, int64_t out, bool bias = true) {
  Linear layer(torch::nn::LinearOptions(in, out).bias(bias));
  torch::nn::init::normal_(layer->weight, 0, 0.02);
  if (bias) {
    torch::nn::init::zeros_(layer->bias);
  }
  return layer;
}

/// Attention within windows, with a bias for each relative position (section 3.2, equation 4).
class WindowAttention : public torch::nn::Module {
 public:
  WindowAttention(int64_t width, int64_t heads, int64_t window, int64_t shift)
      : heads_(heads), window_(window), shift_(shift) {
    qkv_ = register_module("qkv", swin_linear(width, 3 * width));
    proj_ = register_module("proj", swin_linear(width, width));
    const int64_t positions = 2 * window - 1;
    biases_ = register_parameter("relative_position_bias_table",
                                 at::zeros({positions * positions, heads}));
    torch::nn::init::normal_(biases_, 0, 0.02);
    const at::Tensor places = at::arange(window * window);
    const at::Tensor rows = places.floor_divide(window);
    const at::Tensor columns = places.remainder(window);
    const auto distances = [&](const at::Tensor& side) {
      return side.unsqueeze(1) - side.unsqueeze(0) + (window - 1);
    };
    index_ = register_buffer("relative_position_index",
                             (distances(rows) * positions + distances(columns)).flatten());
  }

  at::Tensor forward(const at::Tensor& map) {
    const int64_t height = map.size(1);
    const int64_t width = map.size(2);
    const WindowSide vertical(height, window_, shift_);
    const WindowSide horizontal(width, window_, shift_);
    at::Tensor x = at::constant_pad_nd(
        map, {0, 0, 0, horizontal.padded - width, 0, vertical.padded - height}, 0);
    const bool shifted = vertical.shift + horizontal.shift > 0;
    if (shifted) {
      x = at::roll(x, {-vertical.shift, -horizontal.shift}, {1, 2});
    }
    x = attend(cut_into_windows(x, window_),
               shifted ? far_apart(vertical, horizontal, map) : at::Tensor());
    x = put_windows_together(x, window_, vertical.padded, horizontal.padded);
    if (shifted) {
      x = at::roll(x, {vertical.shift, horizontal.shift}, {1, 2});
    }
    return x.narrow(1, 0, height).narrow(2, 0, width);
  }

 private:
  /// (windows, 1, window², window²): -100, which softmax makes next to nothing of, for two places
  /// that are neighbours only by rolling.
  at::Tensor far_apart(const WindowSide& vertical, const WindowSide& horizontal,
                       const at::Tensor& like) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor parts =
        vertical.parts(window_).unsqueeze(1) * 3 + horizontal.parts(window_).unsqueeze(0);
    const at::Tensor windows = cut_into_windows(parts.unsqueeze(0).unsqueeze(3), window_);
    return (windows != windows.transpose(1, 2)).unsqueeze(1).to(like.options()) * -100;
  }

  /// (windows of all samples, T, C) → the same shape. `mask` may be undefined.
  at::Tensor attend(const at::Tensor& x, const at::Tensor& mask) {
    const int64_t windows = x.size(0);
    const int64_t places = x.size(1);
    const int64_t width = x.size(2);
    const at::Tensor parts =
        qkv_(x).reshape({windows, places, 3, heads_, width / heads_}).permute({2, 0, 3, 1, 4});
    const double scale = 1 / std::sqrt(double(width / heads_));
    at::Tensor scores = at::matmul(parts[0] * scale, parts[1].transpose(2, 3));
    scores = scores + at::index_select(biases_, 0, index_.to(at::kLong))
                          .reshape({places, places, heads_})
                          .permute({2, 0, 1});
    if (mask.defined()) {
      scores = (scores.reshape({-1, mask.size(0), heads_, places, places}) + mask)
                   .reshape({windows, heads_, places, places});
    }
    const at::Tensor mixed = at::matmul(scores.softmax(3), parts[2]);
    return proj_(mixed.transpose(1, 2).reshape({windows, places, width}));
  }

  int64_t heads_;
  int64_t window_;
  int64_t shift_;
  Linear qkv_{nullptr};
  Linear proj_{nullptr};
  at::Tensor biases_;  ///< ((2·window − 1)², heads)
  at::Tensor index_;   ///< (window⁴): the row of `biases_` for each pair of places
};

class SwinBlock : public torch::nn::Module {
 public:
  SwinBlock(const SwinOptions& options, int64_t width, int64_t heads, int64_t shift,
            double drop_path)
      : drop_path_(drop_path) {
    norm1_ = register_module("norm1", FastLayerNorm(width, swin_epsilon));
    attention_ = register_module(
        "attn", std::make_shared<WindowAttention>(width, heads, options.window, shift));
    norm2_ = register_module("norm2", FastLayerNorm(width, swin_epsilon));
    const auto hidden = std::max<int64_t>(1, int64_t(double(width) * options.mlp_ratio));
    const auto mlp = register_module("mlp", std::make_shared<Numbered>());
    widen_ = mlp->add(swin_linear(width, hidden));
    mlp->skip(2);
    narrow_ = mlp->add(swin_linear(hidden, width));
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = x + branch(attention_->forward(norm1_(x)));
    return y + branch(narrow_(fast_gelu(widen_(norm2_(y)))));
  }

 private:
  at::Tensor branch(const at::Tensor& y) const { return drop_path(y, drop_path_, is_training()); }

  double drop_path_;
  FastLayerNorm norm1_{nullptr};
  FastLayerNorm norm2_{nullptr};
  std::shared_ptr<WindowAttention> attention_;
  Linear widen_{nullptr};
  Linear narrow_{nullptr};
};

/// Four neighbours become one place with twice the channels of each; an odd side is filled up with
/// zeros.
class PatchMerging : public torch::nn::Module {
 public:
  explicit PatchMerging(int64_t width) {
    reduction_ = register_module("reduction", swin_linear(4 * width, 2 * width, false));
    norm_ = register_module("norm", FastLayerNorm(4 * width, swin_epsilon));
  }

  at::Tensor forward(const at::Tensor& map) {
    const at::Tensor x =
        at::constant_pad_nd(map, {0, 0, 0, map.size(2) % 2, 0, map.size(1) % 2}, 0);
    const at::Tensor fours = x.reshape({x.size(0), x.size(1) / 2, 2, x.size(2) / 2, 2, x.size(3)})
                                 .permute({0, 1, 3, 4, 2, 5})
                                 .flatten(3);
    return reduction_(norm_(fours));
  }

 private:
  Linear reduction_{nullptr};
  FastLayerNorm norm_{nullptr};
};

/// Liu et al. 2021, arXiv 2103.14030, section 3; torchvision's names.
class SwinModule final : public MapModule {
 public:
  SwinModule(const SwinOptions& options, const ImageShape& input) : recompute_(options.recompute) {
    require_size(input, options.patch, fmt::format("swin with patch = {}", options.patch));
    const auto features = register_module("features", std::make_shared<Numbered>());
    const auto stem = features->add(std::make_shared<Numbered>());
    embedding_ =
        stem->add(Conv2d(torch::nn::Conv2dOptions(input.channels, options.width, options.patch)
                             .stride(options.patch)));
    stem->skip(1);
    embedding_norm_ = stem->add(FastLayerNorm(options.width, swin_epsilon));
    const int64_t blocks =
        std::accumulate(options.depths.begin(), options.depths.end(), int64_t{0});
    int64_t block = 0;
    for (size_t i = 0; i < options.depths.size(); ++i) {
      const int64_t width = options.width << i;
      Stage stage;
      if (i > 0) {
        stage.merging = features->add(std::make_shared<PatchMerging>(width / 2));
      }
      const auto list = features->add(std::make_shared<Numbered>());
      for (int64_t j = 0; j < options.depths[i]; ++j) {
        stage.blocks.push_back(list->add(std::make_shared<SwinBlock>(
            options, width, options.heads[i], j % 2 == 0 ? 0 : options.window / 2,
            drop_path_rate(options.drop_path, block++, blocks))));
      }
      stages_.push_back(std::move(stage));
      levels_.push_back({.channels = width, .stride = options.patch << i});
    }
    norm_ = register_module("norm", FastLayerNorm(this->features(), swin_epsilon));
  }

  /// The last one behind the last layer norm, the others without one.
  TensorList maps(const at::Tensor& images) override {
    TensorList maps;
    at::Tensor x = embedding_norm_(embedding_(images).permute({0, 2, 3, 1}));
    for (const Stage& stage : stages_) {
      if (stage.merging != nullptr) {
        x = stage.merging->forward(x);
      }
      for (const auto& block : stage.blocks) {
        x = through_block(block, x, recompute_);
      }
      maps.push_back(x.permute({0, 3, 1, 2}));
    }
    maps.back() = norm_(x).permute({0, 3, 1, 2});
    return maps;
  }

 private:
  struct Stage {
    std::shared_ptr<PatchMerging> merging;  ///< before the blocks; none in the first stage
    std::vector<std::shared_ptr<SwinBlock>> blocks;
  };

  bool recompute_;
  Conv2d embedding_{nullptr};
  FastLayerNorm embedding_norm_{nullptr};
  std::vector<Stage> stages_;
  FastLayerNorm norm_{nullptr};
};

class SwinBackbone final : public MapBackbone, public LayerDepths {
 public:
  SwinBackbone(const SwinOptions& options, const BackboneContext& context)
      : MapBackbone(std::make_shared<SwinModule>(options, context.input)),
        depths_(options.depths) {}

  void* capability(std::string_view id) override {
    return provide<FeatureMaps, LayerDepths>(*this, id);
  }

  /// The embedding is 0, each block one more; what merges patches lies as deep as the block before
  /// it, the last norm as deep as a head.
  int64_t depths() const override { return blocks_before(depths_.size()) + 1; }
  int64_t depth_of(std::string_view parameter) const override {
    constexpr std::string_view prefix = "features.";  // "features.3.1.norm1.weight"
    if (!parameter.starts_with(prefix)) {
      return depths();
    }
    const auto number = static_cast<size_t>(number_at(parameter, prefix.size()));
    if (number % 2 == 0) {
      return blocks_before(number / 2);
    }
    return blocks_before(number / 2) + 1 +
           number_at(parameter, parameter.find('.', prefix.size()) + 1);
  }

 private:
  int64_t blocks_before(size_t stage) const {
    return std::accumulate(depths_.begin(), depths_.begin() + static_cast<int64_t>(stage),
                           int64_t{0});
  }
  static int64_t number_at(std::string_view text, size_t place) {
    int64_t number = 0;
    std::from_chars(text.data() + place, text.data() + text.size(), number);
    return number;
  }

  std::vector<int64_t> depths_;
};

struct SwinTiny {
  SwinOptions network{};
};
struct SwinSmall {
  SwinOptions network{.depths = {2, 2, 18, 2}};
};
struct SwinBase {
  SwinOptions network{.width = 128, .depths = {2, 2, 18, 2}, .heads = {4, 8, 16, 32}};
};

template <class Sized>
void add_sized_swin(Registrar& registrar, const char* name, const Schema<SwinOptions>& options) {
  Schema<Sized> schema;
  schema.embed(&Sized::network, options);
  registrar.add<Backbone>(
      {.name = name,
       .summary = "transformer with attention in shifted windows; torchvision's names",
       .source = "Liu et al. 2021, arXiv 2103.14030, sections 3.1 to 3.3"},
      schema, [](const Sized& sized, const BackboneContext& context) {
        return std::make_shared<SwinBackbone>(sized.network, context);
      });
}

}  // namespace

void add_swin(Registrar& registrar) {
  const Schema<SwinOptions> schema = swin_schema();
  add_sized_swin<SwinTiny>(registrar, "swin-tiny", schema);
  add_sized_swin<SwinSmall>(registrar, "swin-small", schema);
  add_sized_swin<SwinBase>(registrar, "swin-base", schema);
}

}  // namespace bissl
