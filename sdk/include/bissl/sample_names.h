#pragma once

#include "bissl/export.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bissl {

/// Ability of a dataset whose samples have names, by which a person finds them again: the path of a
/// file below the dataset's folder, the key in an archive. Without it a sample is called by its
/// number.
class BISSL_API SampleNames {
 public:
  /// See bissl::capability.
  static constexpr std::string_view id = "bissl.dataset.sample_names/1";

  virtual ~SampleNames();

  /// The name of sample `index` in 0 … size() − 1, the same at each call and wherever the data
  /// lies. In UTF-8, but for names of files that are not. From several threads at once.
  virtual std::string sample_name(int64_t index) const = 0;
};

}  // namespace bissl
