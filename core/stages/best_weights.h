#pragma once

#include "bissl/tensor_list.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

class Session;

/// A copy of networks' weights at the step of a training where a figure of them was best. Part of
/// the session's state.
class BestWeights {
 public:
  /// The networks, with names of their own, which must outlive it.
  using Networks = std::vector<std::pair<std::string, torch::nn::Module*>>;
  BestWeights(Networks networks, bool higher_is_better);

  /// Makes it part of the session's state, under this name.
  void keep(Session& session, const std::string& name);

  /// The figure after that number of steps. Whether it is the best so far: then the weights are
  /// copied. One that is not finite is the best as long as there is none. In a group all processes
  /// must call it, and process 0's figure counts.
  bool offer(double own, int64_t step);

  /// Puts the copy into the networks; nothing before the first offer().
  void put() const;

  bool empty() const { return weights_.empty(); }
  double value() const { return value_; }
  int64_t step() const { return step_; }

 private:
  NamedTensors now() const;
  void load(const NamedTensors& state);

  Networks networks_;
  bool higher_is_better_;
  NamedTensors weights_;
  double value_ = 0;
  int64_t step_ = 0;
};

/// Null for what JSON cannot hold.
nlohmann::json number_or_null(double value);

}  // namespace bissl::host
