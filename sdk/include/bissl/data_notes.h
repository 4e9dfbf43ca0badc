#pragma once

#include "bissl/export.h"

#include <string>
#include <string_view>
#include <vector>

namespace bissl {

/// Ability of a dataset that has remarks on its data which are no errors: files that it left out,
/// samples that it could not read. The host shows them as warnings when a pipeline is checked,
/// after it has read some samples.
class BISSL_API DataNotes {
 public:
  /// See bissl::capability.
  static constexpr std::string_view id = "bissl.dataset.notes/1";

  virtual ~DataNotes();

  /// Sentences without a full stop; none where all is as it should be. From several threads at
  /// once, and not the same at each call: what is read later may add to it.
  virtual std::vector<std::string> notes() const = 0;
};

}  // namespace bissl
