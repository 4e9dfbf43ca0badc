#include "plugins/load_report_json.h"

#include "base/json_text.h"

#include <nlohmann/json.hpp>

namespace bissl::host {

void to_json(nlohmann::json& json, const LoadProblem& problem) {
  json = {{"path", problem.path},   {"step", problem.step},         {"code", problem.code},
          {"found", problem.found}, {"expected", problem.expected}, {"advice", problem.advice}};
}

void from_json(const nlohmann::json& json, LoadProblem& problem) {
  json.at("path").get_to(problem.path);
  json.at("step").get_to(problem.step);
  json.at("code").get_to(problem.code);
  json.at("found").get_to(problem.found);
  json.at("expected").get_to(problem.expected);
  json.at("advice").get_to(problem.advice);
}

void to_json(nlohmann::json& json, const LoadReport& report) {
  json = {{"searched", report.searched}, {"loaded", report.loaded}, {"problems", report.problems}};
}

std::string dump(const nlohmann::json& json, int indent) { return json_text(json, indent); }

}  // namespace bissl::host
