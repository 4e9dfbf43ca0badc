#pragma once

#include "bissl/implicit_system.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// How a reference solution is got.
struct AuditSetting {
  double damping = 10.0;       ///< δ of the system
  int64_t dense_below = 1000;  ///< up to this many parameters: a dense solve
  int64_t iterations = 200;    ///< of MINRES, for more parameters
  double tolerance = 1e-8;     ///< of MINRES, as a share of ‖u‖
};

/// An approximation v of v* = (I + H/(λ + δ))⁻¹·u over some of the parameters.
struct AuditScore {
  double cosine = 0;      ///< between v and v*
  double norm_ratio = 0;  ///< ‖v‖/‖v*‖
  double residual = 0;  ///< ‖u − (I + H/(λ + δ))·v‖/‖u‖, all norms over these parameters
};

/// What an audit found out.
struct AuditReport {
  AuditScore approximation;
  /// The same for v := u. Its residual is ‖H·u‖/((λ + δ)·‖u‖): near 0 the operator does next to
  /// nothing, and every approximator looks good.
  AuditScore identity;
  /// For each group of parameters: a top-level module or a block of one ("conv1", "layer1.0").
  std::vector<std::pair<std::string, AuditScore>> groups;
  /// What the passes computed in that the approximation was made of: "fp32", "bf16", or empty where
  /// nobody has said it.
  std::string precision;
  std::string reference;  ///< "dense" or "minres"
  int64_t reference_iterations = 0;
  double reference_residual = 0;  ///< the true one of v*: how far to trust the rest
};

/// v*, and how it was got.
struct ReferenceSolution {
  TensorList v;        ///< in the problem's precision
  std::string method;  ///< "dense" or "minres"
  int64_t iterations = 0;
  double residual = 0;  ///< the true one
};

/// Solves (I + H/(λ + δ))·v = u in the precision of `problem`: for a trustworthy solution its
/// models are in double precision. `u` may be in single precision.
ReferenceSolution reference_solution(const TensorList& u, ImplicitSystem& problem,
                                     const AuditSetting& setting);

/// Compares `v` with `reference`, the solution for the same u and setting.
AuditReport audit(const TensorList& u, const TensorList& v, const ReferenceSolution& reference,
                  ImplicitSystem& problem, const AuditSetting& setting);

/// Both at once.
AuditReport audit(const TensorList& u, const TensorList& v, ImplicitSystem& problem,
                  const AuditSetting& setting);

/// The group that a parameter's name belongs to: its module, at most two names deep.
std::string audit_group(const std::string& parameter);

}  // namespace bissl::host
