// What a backbone gives beside its features: maps and tokens.

#include "bissl/backbone_abilities.h"

#include "bissl/error.h"
#include "conformance/backbone_checks.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

constexpr int64_t tried_samples = 3;

std::string sizes_text(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

bool is_near_to(const at::Tensor& found, const at::Tensor& expected) {
  return found.sizes() == expected.sizes() &&
         norm({found - expected}) <= 1e-4 * (norm({expected}) + 1);
}

/// What an ability gives is finite and of the images' type, `what` says which.
void require_numbers(const at::Tensor& found, const at::Tensor& images, const std::string& what) {
  require(found.scalar_type() == images.scalar_type(),
          "images are of type {} and {} of type {}: give them the type of the images",
          c10::toString(images.scalar_type()), what, c10::toString(found.scalar_type()));
  require(all_finite({found}), "some numbers of {} are not finite", what);
}

/// An instance in evaluation mode for images of this shape; null where it refuses them.
std::shared_ptr<Backbone> made_for(const Checker& checker, const ImageShape& shape) {
  try {
    auto backbone = make_seeded(checker, shape);
    set_training(backbone->module(), false);
    return backbone;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) {
      throw;
    }
    return nullptr;
  }
}

/// Does `check` with an instance for the images that are tried, and for two that are not square.
void for_some_shapes(const Checker& checker, const ImageShape& shape,
                     const std::function<void(Backbone&, const at::Tensor&)>& check) {
  const auto [channels, height, width] = shape;
  for (const ImageShape& one :
       {shape, ImageShape{channels, height, 2 * width}, ImageShape{channels, 2 * height, width}}) {
    const auto backbone = made_for(checker, one);
    if (!backbone) {
      continue;
    }
    try {
      check(*backbone, sample_images(tried_samples, one));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input || one == shape) {
        throw;
      }
    }
  }
}

// Maps.

/// About as many places as the image has strides: networks pad or cut off at the edges.
bool is_about(int64_t places, int64_t pixels, int64_t stride) {
  const double expected = static_cast<double>(pixels) / static_cast<double>(stride);
  return places >= 1 && std::abs(static_cast<double>(places) - expected) <= 1 + 0.25 * expected;
}

std::vector<FeatureMaps::Level> declared_levels(const FeatureMaps& maps) {
  const std::vector<FeatureMaps::Level> levels = maps.map_levels();
  require(!levels.empty(), "map_levels() is empty; there is at least one");
  const std::vector<FeatureMaps::Level> again = maps.map_levels();
  require(again.size() == levels.size(), "map_levels() differs from call to call");
  for (size_t i = 0; i < levels.size(); ++i) {
    require(again[i].channels == levels[i].channels && again[i].stride == levels[i].stride,
            "map_levels() differs from call to call");
    require(levels[i].channels >= 1 && levels[i].stride >= 1,
            "level {} has {} channels and the stride {}; each is at least 1", i, levels[i].channels,
            levels[i].stride);
    require(i == 0 || levels[i].stride >= levels[i - 1].stride,
            "level {} has the stride {}, the one before it {}; levels go from fine to coarse", i,
            levels[i].stride, levels[i - 1].stride);
  }
  return levels;
}

void require_maps(FeatureMaps& maps, const at::Tensor& images) {
  const std::vector<FeatureMaps::Level> levels = declared_levels(maps);
  const c10::NoGradGuard no_grad;
  const at::Tensor given = images.clone();
  const TensorList found = maps.maps(given);
  require(given.equal(images), "maps() changes the images that it is given: clone them first");
  require(found.size() == levels.size(), "maps() gives {} maps, map_levels() declares {}",
          found.size(), levels.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const auto [channels, stride] = levels[i];
    require(found[i].dim() == 4 && found[i].size(0) == images.size(0) &&
                found[i].size(1) == channels &&
                is_about(found[i].size(2), images.size(2), stride) &&
                is_about(found[i].size(3), images.size(3), stride),
            "map {} of {} images of {}x{} pixels has shape {}; map_levels() declares {} channels "
            "and the stride {}, so about [{}, {}, {}, {}]",
            i, images.size(0), images.size(2), images.size(3), sizes_text(found[i]), channels,
            stride, images.size(0), channels, (images.size(2) + stride - 1) / stride,
            (images.size(3) + stride - 1) / stride);
    require_numbers(found[i], images, fmt::format("map {}", i));
  }
}

void require_maps_of_each_sample(FeatureMaps& maps, const at::Tensor& images) {
  const c10::NoGradGuard no_grad;
  const TensorList together = maps.maps(images);
  for (int64_t sample = 0; sample < images.size(0); ++sample) {
    const TensorList alone = maps.maps(images.narrow(0, sample, 1));
    for (size_t i = 0; i < together.size() && i < alone.size(); ++i) {
      require(is_near_to(alone[i], together[i].narrow(0, sample, 1)),
              "in evaluation mode map {} of sample {} is another one when the image is alone: a "
              "sample's maps change with its neighbours",
              i, sample);
    }
  }
}

void require_trainable_maps(Backbone& backbone, FeatureMaps& maps, const at::Tensor& images) {
  set_training(backbone.module(), true);
  const c10::AutoGradMode grad(true);
  const TensorList found = maps.maps(images);
  for (size_t i = 0; i < found.size(); ++i) {
    require(found[i].requires_grad(),
            "map {} does not depend on the parameters: the graph is cut off, by detach() or a "
            "NoGradGuard",
            i);
  }
}

void check_maps(const Checker& checker, const FittedBackbone& fitted) {
  if (bissl::capability<FeatureMaps>(*fitted.backbone) == nullptr) {
    throw NotApplicable("it has no feature maps");
  }
  for_some_shapes(checker, fitted.input, [](Backbone& backbone, const at::Tensor& images) {
    auto* maps = bissl::capability<FeatureMaps>(backbone);
    require(maps != nullptr, "one instance has feature maps, another has not");
    require_maps(*maps, images);
    require_maps_of_each_sample(*maps, images);
    require_trainable_maps(backbone, *maps, images);
  });
}

// Tokens.

/// A backbone's tokens, in evaluation mode and without gradients.
class TokenTrial {
 public:
  TokenTrial(Tokens& tokens, at::Tensor images)
      : tokens_(tokens), images_(std::move(images)), patch_(tokens.patch()) {
    require(patch_.height >= 1 && patch_.width >= 1, "patch() is {}x{}; expected at least 1x1",
            patch_.height, patch_.width);
    require(images_.size(2) % patch_.height == 0 && images_.size(3) % patch_.width == 0,
            "it takes images of {}x{} pixels, which are no whole number of patches of {}x{}, as "
            "patch() has them",
            images_.size(2), images_.size(3), patch_.height, patch_.width);
    require(tokens.token_width() >= 1 && tokens.extra_tokens() >= 0,
            "token_width() is {} and extra_tokens() {}; expected at least 1 and 0",
            tokens.token_width(), tokens.extra_tokens());
  }

  int64_t rows() const { return images_.size(2) / patch_.height; }
  int64_t columns() const { return images_.size(3) / patch_.width; }
  int64_t patches() const { return rows() * columns(); }

  at::Tensor all() const { return tokens_of(images_, {}, patches()); }
  at::Tensor kept(const at::Tensor& images, const at::Tensor& places) const {
    PatchSelection selection;
    selection.kept = places.expand({images.size(0), places.size(-1)}).contiguous();
    return tokens_of(images, selection, places.size(-1));
  }
  /// `token`: which of several mask tokens.
  at::Tensor masked(const at::Tensor& images, bool everywhere, uint64_t token) const {
    PatchSelection selection;
    selection.masked = at::full({images.size(0), patches()}, everywhere, at::kBool);
    selection.mask_token =
        normal_numbers({tokens_.token_width()}, 70 + token).to(images.scalar_type());
    return tokens_of(images, selection, patches());
  }
  const at::Tensor& images() const { return images_; }

  /// The images with other pixels in one patch.
  at::Tensor changed_at(int64_t row, int64_t column) const {
    at::Tensor images = images_.clone();
    images.narrow(2, row * patch_.height, patch_.height)
        .narrow(3, column * patch_.width, patch_.width)
        .mul_(-1)
        .add_(0.5);
    return images;
  }

 private:
  at::Tensor tokens_of(const at::Tensor& images, const PatchSelection& selection,
                       int64_t seen) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor given = images.clone();
    at::Tensor found = tokens_.tokens(given, selection);
    require(given.equal(images), "tokens() changes the images that it is given: clone them first");
    require(found.dim() == 3 && found.size(0) == images.size(0) &&
                found.size(1) == tokens_.extra_tokens() + seen &&
                found.size(2) == tokens_.token_width(),
            "the tokens of {} patches of {} images have shape {}; extra_tokens() and "
            "token_width() make it [{}, {}, {}]",
            seen, images.size(0), sizes_text(found), images.size(0), tokens_.extra_tokens() + seen,
            tokens_.token_width());
    require_numbers(found, images, "the tokens");
    return found;
  }

  Tokens& tokens_;
  at::Tensor images_;
  Tokens::Patch patch_;
};

void require_tokens_of_each_sample(const TokenTrial& trial) {
  const at::Tensor together = trial.all();
  const at::Tensor reversed = trial.kept(trial.images().flip(0), at::arange(trial.patches()));
  require(
      is_near_to(reversed.flip(0), together),
      "with all patches kept, or the samples in reverse order, tokens are other ones than "
      "without a selection: each sample's depend on that sample alone, and PatchSelection::kept "
      "names the patches that are seen");
}

/// A patch that is kept alone knows nothing of one far away. Its number counts row by row.
void require_left_out(const TokenTrial& trial) {
  constexpr int64_t fewest = 3;  // so that neighbours, which a convolution may see, lie between
  if (trial.rows() < fewest || trial.columns() < fewest) {
    return;
  }
  const at::Tensor corner = at::full({1}, trial.columns() - 1, at::kLong);
  const at::Tensor expected = trial.kept(trial.images(), corner);
  require(
      !is_near_to(trial.kept(trial.changed_at(0, trial.columns() - 1), corner), expected),
      "where the last patch of the first row alone is kept, its pixels change no token: patches "
      "are numbered row by row, from the top left");
  require(is_near_to(trial.kept(trial.changed_at(trial.rows() - 1, 0), corner), expected),
          "where the last patch of the first row alone is kept, tokens change with pixels in the "
          "last row: patches that are not kept must be left out");
}

void require_masked(const TokenTrial& trial) {
  const at::Tensor& images = trial.images();
  require(is_near_to(trial.masked(images, false, 1), trial.all()),
          "where PatchSelection::masked marks no patch, tokens are other ones than without it");
  const at::Tensor hidden = trial.masked(images, true, 1);
  require(is_near_to(trial.masked(images.flip(0), true, 1), hidden),
          "where all patches are masked, tokens change with the images: replace the embedding of "
          "each masked patch by the mask token");
  require((trial.masked(images, true, 2) - hidden).abs().max().item<double>() > 0,
          "where all patches are masked, another mask token changes no token");
}

void check_tokens(const Checker& checker, const FittedBackbone& fitted) {
  if (bissl::capability<Tokens>(*fitted.backbone) == nullptr) {
    throw NotApplicable("it has no tokens of patches");
  }
  for_some_shapes(checker, fitted.input, [](Backbone& backbone, const at::Tensor& images) {
    auto* tokens = bissl::capability<Tokens>(backbone);
    require(tokens != nullptr, "one instance has tokens, another has not");
    const TokenTrial trial(*tokens, images);
    require_tokens_of_each_sample(trial);
    require_left_out(trial);
    require_masked(trial);
  });
}

}  // namespace

void check_backbone_abilities(Checker& checker, const FittedBackbone& fitted) {
  checker.check("feature maps are as declared", [&] { check_maps(checker, fitted); });
  checker.check("tokens are as declared", [&] { check_tokens(checker, fitted); });
}

}  // namespace bissl::host
