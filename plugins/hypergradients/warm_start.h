#pragma once

#include "bissl/hypergradient.h"

namespace bissl {

/// The last solution of a solver, from which the next solve may begin.
class WarmStart {
 public:
  /// Where to begin: the last solution if it fits `u`, else empty.
  TensorList begin(const TensorList& u) const;
  void keep(const TensorList& v) { last_ = copy(v); }

  /// For Hypergradient::state and load_state.
  NamedTensors state() const;
  void load_state(const NamedTensors& state);

 private:
  TensorList last_;
};

}  // namespace bissl
