#pragma once

#include "bissl/parameters.h"

#include <string>
#include <utility>

namespace bissl {

/// Which files of a dataset laid out like MNIST.
struct SplitOptions {
  std::string split = "train";

  /// How MNIST's own files, and those of the sets that replace it, begin.
  std::string mnist_prefix() const { return split == "test" ? "t10k" : "train"; }
};

inline Schema<SplitOptions> split_schema(
    std::string doc = "60,000 images to train with or 10,000 to test with") {
  Schema<SplitOptions> schema;
  schema.add("split", &SplitOptions::split, std::move(doc)).choices({"train", "test"});
  return schema;
}

}  // namespace bissl
