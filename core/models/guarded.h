#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "plugins/component.h"

#include <memory>

namespace bissl::host {

// Instances of components whose methods, when they throw, name component, library, TOML position
// and method in the error. The host only ever holds these.

std::shared_ptr<Backbone> create_guarded(const ComponentChoice& choice,
                                         const BackboneContext& context);
std::shared_ptr<Pretext> create_guarded(const ComponentChoice& choice,
                                        const PretextContext& context);
std::shared_ptr<Downstream> create_guarded(const ComponentChoice& choice,
                                           const DownstreamContext& context);
std::shared_ptr<Hypergradient> create_guarded(const ComponentChoice& choice,
                                              const HypergradientContext& context);
std::shared_ptr<Optimizer> create_guarded(const ComponentChoice& choice,
                                          const OptimizerContext& context);

}  // namespace bissl::host
