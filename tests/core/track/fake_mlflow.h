#pragma once

#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace bissl::host::test {

/// What an MLflow server keeps, and its rules as far as they matter here. What it keeps is looked
/// at while nobody asks it anything.
class FakeMlflow {
 public:
  FakeMlflow() {
    server_.Get(
        "/base/api/2.0/mlflow/experiments/get-by-name",
        [this](const httplib::Request& request, httplib::Response& response) {
          const auto found = experiments.find(request.get_param_value("experiment_name"));
          response.status = found == experiments.end() ? 404 : 200;
          response.set_content(
              found == experiments.end()
                  ? nlohmann::json{{"error_code", "RESOURCE_DOES_NOT_EXIST"}}.dump()
                  : nlohmann::json{{"experiment", {{"experiment_id", found->second}}}}.dump(),
              "application/json");
        });
    for (const char* call :
         {"experiments/create", "runs/create", "runs/log-batch", "runs/update"}) {
      server_.Post(std::string("/base/api/2.0/mlflow/") + call,
                   [this, call](const httplib::Request& request, httplib::Response& response) {
                     answer(call, nlohmann::json::parse(request.body), response);
                   });
    }
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  ~FakeMlflow() {
    manner = Manner::well;
    server_.stop();
    thread_.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/base/"; }

  struct Run {
    nlohmann::json created;
    std::map<std::string, std::string> params;
    std::map<std::string, std::string> tags;
    std::map<std::string, std::map<int64_t, nlohmann::json>> metrics;  ///< by key and step
    std::string status;
  };
  /// How batches of metrics are answered.
  enum class Manner {
    well,
    by_error,  ///< with the status 500
    by_page,   ///< with the status 200 and a page to log in
    never,     ///< not until the manner is another one
  };
  std::atomic<Manner> manner = Manner::well;
  std::atomic<int> good_batches = 0;  ///< how many are answered well before that
  std::atomic<int> in_vain = 0;       ///< how many were not taken
  std::atomic<int64_t> taken = 0;     ///< metrics so far; may be asked at any time

  std::map<std::string, std::string> experiments;
  std::vector<Run> runs;
  size_t largest_batch = 0;
  size_t repeated = 0;  ///< metrics that came for a step that had one
  int refuse = 0;       ///< the next batches of metrics
  int refused_updates = 0;

 private:
  void answer(const std::string& call, const nlohmann::json& body, httplib::Response& response) {
    nlohmann::json out = nlohmann::json::object();
    if (call == "experiments/create") {
      out["experiment_id"] = experiments[body.at("name")] = "7";
    } else if (call == "runs/create") {
      runs.emplace_back();
      runs.back().created = body;
      out["run"]["info"]["run_id"] = std::to_string(runs.size() - 1);
    } else {
      Run& run = runs.at(std::stoul(body.at("run_id").get<std::string>()));
      if (call == "runs/update" && refused_updates > 0) {
        --refused_updates;
        response.status = 400;
        out = {{"error_code", "INVALID_STATE"}, {"message", "no status"}};
      } else if (call == "runs/update") {
        run.status = body.at("status");
      } else if (body.contains("metrics") && manner != Manner::well && good_batches-- <= 0) {
        answer_badly(response);
        return;
      } else if (body.contains("metrics") && refuse > 0) {
        --refuse;
        response.status = 400;
        out = {{"error_code", "INVALID_PARAMETER_VALUE"}, {"message", "no room"}};
      } else {
        log(run, body);
      }
    }
    response.set_content(out.dump(), "application/json");
  }

  void answer_badly(httplib::Response& response) {
    ++in_vain;
    while (manner == Manner::never) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    response.status = manner == Manner::by_page ? 200 : 500;
    response.set_content("<html>Please <b>log in</b></html>", "text/html");
  }

  void log(Run& run, const nlohmann::json& body) {
    for (const nlohmann::json& metric : body.value("metrics", nlohmann::json::array())) {
      const auto [place, is_new] =
          run.metrics[metric.at("key")].emplace(metric.at("step"), metric.at("value"));
      repeated += is_new ? 0 : 1;
      ++taken;
      EXPECT_GT(metric.at("timestamp").get<int64_t>(), 1600000000000) << metric;
    }
    largest_batch = std::max(largest_batch, body.value("metrics", nlohmann::json::array()).size());
    for (const nlohmann::json& param : body.value("params", nlohmann::json::array())) {
      EXPECT_TRUE(run.params.emplace(param.at("key"), param.at("value")).second);
      EXPECT_LE(param.at("value").get<std::string>().size(), 500U);
    }
    EXPECT_LE(body.value("params", nlohmann::json::array()).size(), 100U);
    for (const nlohmann::json& tag : body.value("tags", nlohmann::json::array())) {
      run.tags[tag.at("key")] = tag.at("value");
    }
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace bissl::host::test
