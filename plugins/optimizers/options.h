#pragma once

#include "bissl/parameters.h"

#include <string>
#include <utility>

// Options that several optimizers have, each declared once.
namespace bissl {

struct MomentumOptions {
  double lr = 0.1;
  double momentum = 0.9;
};

inline Schema<MomentumOptions> momentum_schema() {
  Schema<MomentumOptions> schema;
  schema.add("lr", &MomentumOptions::lr, "learning rate").required().at_least(0);
  schema.add("momentum", &MomentumOptions::momentum, "share of the last update that is kept")
      .at_least(0)
      .less_than(1);
  return schema;
}

/// Of optimizers that divide the mean of gradients by the root of their mean square.
struct MomentsOptions {
  double lr = 0.001;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

inline Schema<MomentsOptions> moments_schema() {
  using Options = MomentsOptions;
  Schema<Options> schema;
  schema.add("lr", &Options::lr, "learning rate").required().at_least(0);
  schema.add("beta1", &Options::beta1, "decay of the mean of gradients").at_least(0).less_than(1);
  schema.add("beta2", &Options::beta2, "decay of the mean of squared gradients")
      .at_least(0)
      .less_than(1);
  schema.add("epsilon", &Options::epsilon, "added to the root of the mean square").more_than(0);
  return schema;
}

struct DecayOptions {
  double weight_decay = 0.0;
  bool decay_1d = true;
};

/// `doc` says what weight decay does in this optimizer.
inline Schema<DecayOptions> decay_schema(std::string doc = "L2 penalty added to the gradient") {
  Schema<DecayOptions> schema;
  schema.add("weight_decay", &DecayOptions::weight_decay, std::move(doc)).at_least(0);
  schema
      .add("decay_1d", &DecayOptions::decay_1d,
           "whether weight decay reaches biases and normalisations (one-dimensional parameters)")
      .only_above("weight_decay", 0);
  return schema;
}

/// For `doc` of decay_schema.
inline constexpr const char* decoupled_decay =
    "share of the weights, times the learning rate, taken away in each step";

}  // namespace bissl
