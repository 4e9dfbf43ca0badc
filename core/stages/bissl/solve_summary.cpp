#include "stages/bissl/solve_summary.h"

namespace bissl::host {
namespace {

nlohmann::json to_json(const AuditScore& score) {
  return {{"cosine", score.cosine}, {"norm_ratio", score.norm_ratio}, {"residual", score.residual}};
}

}  // namespace

nlohmann::json to_json(const AuditReport& report) {
  nlohmann::json groups = nlohmann::json::object();
  for (const auto& [name, score] : report.groups) {
    groups[name] = to_json(score);
  }
  return {{"approximation", to_json(report.approximation)},
          {"identity", to_json(report.identity)},
          {"groups", groups},
          {"precision", report.precision},
          {"reference", report.reference},
          {"reference_iterations", report.reference_iterations},
          {"reference_residual", report.reference_residual}};
}

void SolveSummary::add(const UpperStep& step) {
  fewest_products_ =
      steps_ == 0 ? step.hessian_products : std::min(fewest_products_, step.hessian_products);
  most_products_ = std::max(most_products_, step.hessian_products);
  ++steps_;
  products_ += step.hessian_products;
  gradients_ += step.gradients;
  solve_seconds_ += step.solve_seconds;
  cosine_ += step.cosine;
  if (step.relative_residual >= 0) {
    residual_ += step.relative_residual;
    ++residuals_;
  }
  ++ended_[to_string(step.status)];
}

void SolveSummary::add(const AuditReport& report) {
  ++audits_;
  audited_precision_ = report.precision;
  audited_["cosine"] += report.approximation.cosine;
  audited_["norm_ratio"] += report.approximation.norm_ratio;
  audited_["residual"] += report.approximation.residual;
  audited_["identity_cosine"] += report.identity.cosine;
  audited_["identity_residual"] += report.identity.residual;
  audited_["reference_residual"] += report.reference_residual;
}

bool SolveSummary::add_failed_audit(const std::string& reason) {
  if (failed_audits_ == 0) {
    failed_audit_ = reason;
  }
  return failed_audits_++ == 0;
}

nlohmann::json SolveSummary::save() const {
  return {{"steps", steps_},
          {"products", products_},
          {"fewest_products", fewest_products_},
          {"most_products", most_products_},
          {"gradients", gradients_},
          {"cosine", cosine_},
          {"residual", residual_},
          {"residuals", residuals_},
          {"ended", ended_},
          {"audits", audits_},
          {"audited", audited_},
          {"audited_precision", audited_precision_},
          {"graph_bytes", graph_bytes_},
          {"failed_audits", failed_audits_},
          {"failed_audit", failed_audit_},
          {"solve_seconds", solve_seconds_},
          {"step_seconds", step_seconds_},
          {"lower_seconds", lower_seconds_}};
}

void SolveSummary::load(const nlohmann::json& saved) {
  steps_ = saved.at("steps");
  products_ = saved.at("products");
  fewest_products_ = saved.value("fewest_products", int64_t{0});
  most_products_ = saved.value("most_products", int64_t{0});
  gradients_ = saved.at("gradients");
  cosine_ = saved.at("cosine");
  residual_ = saved.at("residual");
  residuals_ = saved.at("residuals");
  ended_ = saved.at("ended").get<std::map<std::string, int64_t>>();
  graph_bytes_ = saved.at("graph_bytes");
  audits_ = saved.at("audits");
  audited_ = saved.at("audited").get<std::map<std::string, double>>();
  audited_precision_ = saved.value("audited_precision", "");
  failed_audits_ = saved.value("failed_audits", int64_t{0});
  failed_audit_ = saved.value("failed_audit", "");
  solve_seconds_ = saved.value("solve_seconds", 0.0);
  step_seconds_ = saved.value("step_seconds", 0.0);
  lower_seconds_ = saved.value("lower_seconds", 0.0);
}

nlohmann::json SolveSummary::report() const {
  nlohmann::json result = {
      {"upper_steps", steps_},
      {"hessian_products", products_},
      {"hessian_products_of_a_step",
       {{"fewest", fewest_products_},
        {"mean", steps_ > 0 ? static_cast<double>(products_) / static_cast<double>(steps_) : 0.0},
        {"most", most_products_}}},
      {"shifted_gradients", gradients_},
      {"ended", ended_},
      {"mean_cosine_u_v", steps_ > 0 ? cosine_ / static_cast<double>(steps_) : 0.0}};
  if (residuals_ > 0) {
    result["mean_relative_residual"] = residual_ / static_cast<double>(residuals_);
  }
  if (step_seconds_ > 0) {
    result["share_of_time"] = solve_seconds_ / step_seconds_;
  }
  if (graph_bytes_ > 0) {
    result["kept_graph_bytes"] = graph_bytes_;
  }
  if (audits_ + failed_audits_ > 0) {
    result["audit"] = audit_report();
  }
  return result;
}

nlohmann::json SolveSummary::audit_report() const {
  nlohmann::json means = {{"audits", audits_}};
  if (!audited_precision_.empty()) {
    means["precision"] = audited_precision_;
  }
  for (const auto& [name, sum] : audited_) {
    means["mean_" + name] = sum / static_cast<double>(audits_);
  }
  if (failed_audits_ > 0) {
    means["failed"] = failed_audits_;
    means["reason"] = failed_audit_;
  }
  return means;
}

}  // namespace bissl::host
