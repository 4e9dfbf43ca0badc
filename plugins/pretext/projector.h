#pragma once

#include "bissl/parameters.h"

#include <torch/nn/modules/container/sequential.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// How the layers of a projector differ from the usual ones.
struct ProjectorForm {
  /// Batch normalisation behind the last layer.
  enum class LastNorm {
    none,
    affine,  ///< with weight and bias
    plain,   ///< without
  };
  bool normalise = true;           ///< batch normalisation behind all layers but the last
  bool last_bias = false;          ///< the last layer has a bias
  LastNorm last = LastNorm::none;  ///< what follows the last layer
};

/// Linear layers of these widths behind `features` inputs; batch normalisation and ReLU follow all
/// but the last.
torch::nn::Sequential make_projector(int64_t features, const std::vector<int64_t>& widths,
                                     const ProjectorForm& form = {});

/// `hidden` with `width` behind it.
std::vector<int64_t> followed_by(std::vector<int64_t> hidden, int64_t width);

/// Declares the widths of layers: at least one, each at least 1.
template <class Options>
void add_widths(Schema<Options>& schema, const std::string& name,
                std::vector<int64_t> Options::*member, std::string doc) {
  schema.add(name, member, std::move(doc)).at_least(1);
  schema.rule([name, member](const Options& options, std::vector<Finding>& findings) {
    if ((options.*member).empty()) {
      findings.push_back({Finding::Severity::error, name, "needs at least one layer"});
    }
  });
}

/// Declares the widths of hidden layers, of which there may be none.
template <class Options>
void add_hidden(Schema<Options>& schema, const std::string& name,
                std::vector<int64_t> Options::*member, std::string doc) {
  schema.add(name, member, std::move(doc)).at_least(1);
}

/// Whose heads the parameters of a task are about.
enum class Heads {
  one,           ///< the task has one network
  with_teacher,  ///< a student and a teacher, which have projectors of one form
};

/// What is said of a projector's widths: which layers there are between and behind them.
std::string projector_text(const ProjectorForm& form, Heads heads);

/// Declares the widths of a projector of this form, the parameter `projector`.
template <class Options>
void add_projector(Schema<Options>& schema, std::vector<int64_t> Options::*member,
                   const ProjectorForm& form = {}, Heads heads = Heads::one) {
  add_widths(schema, "projector", member, projector_text(form, heads));
}

/// Declares the hidden widths of a predictor, the parameter `predictor`.
template <class Options>
void add_predictor(Schema<Options>& schema, std::vector<int64_t> Options::*member,
                   Heads heads = Heads::one) {
  add_hidden(schema, "predictor", member,
             std::string("widths of the hidden layers of the ") +
                 (heads == Heads::with_teacher ? "student's " : "") +
                 "predictor, which ends in the projector's width");
}

}  // namespace bissl
