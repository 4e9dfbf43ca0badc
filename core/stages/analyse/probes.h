#pragma once

#include "stages/analyse/parts.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What tells classes of features apart by logits: a probe that was fitted to the bank, or a head.
struct Probe {
  std::string name;  ///< as in the stage's `probe`
  /// Features (B, D) to logits (B, K), differentiable where gradients are recorded. A head reads
  /// the weights that are loaded at the time.
  std::function<at::Tensor(const at::Tensor& features)> logits;
  at::Tensor weight;  ///< (K, D), double; undefined for a head
};

/// What probes are fitted to: n samples of the bank, each with one row, or with one for each of the
/// views of `probe_views`.
struct ProbeRows {
  at::Tensor features;  ///< (views·n, D), on the CPU: row v·n + i is view v of sample i
  at::Tensor labels;    ///< (n), int64
};

/// Those of the network that is in the backbone; nothing for an undefined `bank`. `bank` (N, D) has
/// its features of the one view, in their own scale.
std::optional<ProbeRows> probe_rows(const AnalyseParts& parts, const at::Tensor& bank,
                                    const std::function<void()>& after_batch);

/// The probes of a network, in the order of `probe`: of the parent's for an empty `stage`, else of
/// a compared one. A compared network has its head if it has one. Throws Interrupted between two
/// fits.
std::vector<Probe> make_probes(const StageContext& context, const AnalyseParts& parts,
                               const std::string& stage, const std::optional<ProbeRows>& rows);

/// The one by which images are explained: the head if it is among the probes and the network has
/// one, else the first of the others; none where there are no others or no bank.
std::vector<Probe> make_explaining_probe(const StageContext& context, const AnalyseParts& parts,
                                         const std::string& stage,
                                         const std::optional<ProbeRows>& rows);

/// The same of all that make_probes made, at least one.
const Probe& explaining(const std::vector<Probe>& probes);

/// The classes that a probe takes features for, (N), int64, and the logits, (N, K), double.
struct ProbeAnswers {
  at::Tensor classes;
  at::Tensor logits;
};
ProbeAnswers ask(const Probe& probe, const at::Tensor& features);

}  // namespace bissl::host
