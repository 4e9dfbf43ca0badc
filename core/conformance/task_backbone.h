#pragma once

#include "bissl/backbone.h"
#include "bissl/image.h"
#include "plugins/component.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace bissl::host {

/// The backbone that tasks are tried with: the small one of samples.h, or one that the
/// user names because the task needs its abilities.
class TaskBackbone {
 public:
  TaskBackbone();
  /// Throws Error(ErrorKind::input) where it takes images of none of the usual shapes.
  explicit TaskBackbone(ComponentChoice choice);

  /// An instance in single precision and training mode with the weights of `seed`.
  std::shared_ptr<Backbone> make(uint64_t seed) const;

  /// The shape of the images that it is made for.
  const ImageShape& input() const { return input_; }

  /// What errors call it.
  std::string name() const;

 private:
  std::optional<ComponentChoice> choice_;
  ImageShape input_;
};

}  // namespace bissl::host
