#include "bilevel/audit.h"

#include "bissl/linear_system.h"
#include "bissl/minres.h"

#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>

namespace bissl::host {
namespace {

TensorList like(const TensorList& values, const TensorList& shapes) {
  TensorList converted;
  for (size_t i = 0; i < values.size(); ++i) {
    converted.push_back(values[i].detach().to(shapes[i].options()).clone());
  }
  return converted;
}

TensorList dense_solution(LinearSystem& apply, const TensorList& u) {
  const at::Tensor right = flatten(u);
  TensorList columns;
  for (int64_t i = 0; i < right.size(0); ++i) {
    columns.push_back(flatten(apply(unit_vector(i, u))));
  }
  return unflatten(at::linalg_solve(at::stack(columns, 1), right), u);
}

double ratio(double a, double b) { return b > 0 ? a / b : 0.0; }

AuditScore score(const TensorList& u, const TensorList& v, const TensorList& reference,
                 const TensorList& residual) {
  const double v_norm = norm(v);
  const double reference_norm = norm(reference);
  return {.cosine = ratio(dot(v, reference), v_norm * reference_norm),
          .norm_ratio = ratio(v_norm, reference_norm),
          .residual = ratio(norm(residual), norm(u))};
}

TensorList chosen(const TensorList& list, const std::vector<size_t>& indices) {
  TensorList some;
  for (const size_t i : indices) {
    some.push_back(list[i]);
  }
  return some;
}

}  // namespace

std::string audit_group(const std::string& parameter) {
  const std::string module = parameter.substr(0, parameter.rfind('.'));
  const size_t first = module.find('.');
  return first == std::string::npos ? module : module.substr(0, module.find('.', first + 1));
}

ReferenceSolution reference_solution(const TensorList& u, ImplicitSystem& problem,
                                     const AuditSetting& setting) {
  const c10::NoGradGuard no_grad;
  const TensorList right = like(u, problem.parameters());
  LinearSystem system(problem, setting.damping);
  ReferenceSolution reference;
  if (norm(right) == 0 || count(right) <= setting.dense_below) {
    reference.method = "dense";
    reference.v = norm(right) == 0 ? copy(right) : dense_solution(system, right);
  } else {
    reference.method = "minres";
    MinresResult result = minres([&](const TensorList& x) { return system(x); }, right,
                                 setting.iterations, setting.tolerance);
    reference.iterations = result.iterations;
    reference.v = std::move(result.x);
  }
  reference.residual = ratio(norm(system.residual(right, reference.v)), norm(right));
  return reference;
}

AuditReport audit(const TensorList& u, const TensorList& v, ImplicitSystem& problem,
                  const AuditSetting& setting) {
  return audit(u, v, reference_solution(u, problem, setting), problem, setting);
}

AuditReport audit(const TensorList& u, const TensorList& v, const ReferenceSolution& solution,
                  ImplicitSystem& problem, const AuditSetting& setting) {
  const c10::NoGradGuard no_grad;
  const TensorList right = like(u, problem.parameters());
  const TensorList left = like(v, problem.parameters());
  LinearSystem system(problem, setting.damping);
  const TensorList& reference = solution.v;
  AuditReport report;
  report.reference = solution.method;
  report.reference_iterations = solution.iterations;
  report.reference_residual = solution.residual;
  const TensorList rest = system.residual(right, left);
  report.approximation = score(right, left, reference, rest);
  report.identity = score(right, right, reference, system.residual(right, right));
  std::map<std::string, std::vector<size_t>> groups;
  std::vector<std::string> order;
  for (size_t i = 0; i < problem.parameter_names().size(); ++i) {
    const std::string group = audit_group(problem.parameter_names()[i]);
    if (groups.find(group) == groups.end()) {
      order.push_back(group);
    }
    groups[group].push_back(i);
  }
  for (const std::string& group : order) {
    const std::vector<size_t>& indices = groups[group];
    report.groups.emplace_back(group, score(chosen(right, indices), chosen(left, indices),
                                            chosen(reference, indices), chosen(rest, indices)));
  }
  return report;
}

}  // namespace bissl::host
