#include "stages/monitor.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "models/module_state.h"
#include "pipeline/metric_name.h"
#include "stages/held_tensors.h"
#include "stages/histograms.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace bissl::host {

Monitor::Monitor(const StageContext& context, const BatchSource& training, Backbone& backbone,
                 BestWeights::Networks networks)
    : networks_(std::move(networks)), named_(context.stage.table.lists.count(monitor_key) != 0) {
  for (const Table* table : monitor_tables(context.stage)) {
    const MonitorOptions options = parse_monitor(*table);
    for (const auto& other : sources_) {
      if (other->options().data == options.data) {
        fail_input(
            "monitor: data.{} is in two of its tables; give each source one, with all figures",
            spelled_key(options.data));
      }
    }
    if (!options.keep_best.empty() && chooses_ != nullptr) {
      fail_input(
          "monitor: two of its tables, those of data.{} and data.{}, have keep_best; the stage "
          "ends with the weights of one look, so leave it out of the others",
          spelled_key(chooses_->options().data), spelled_key(options.data));
    }
    sources_.push_back(
        std::make_unique<MonitoredSource>(context, *table, training, backbone, named_));
    if (!options.keep_best.empty()) {
      chooses_ = sources_.back().get();
      best_.emplace(networks_, *monitor_direction(options.keep_best));
    }
  }
}

void Monitor::keep(Session& session) {
  if (best_) {
    best_->keep(session, "monitor_best");
  }
  session.keep(
      "monitor",
      [this] {
        if (!named_) {
          return sources_.front()->save();
        }
        nlohmann::json all = nlohmann::json::array();
        for (const auto& source : sources_) {
          all.push_back(source->save());
        }
        return all;
      },
      [this](const nlohmann::json& saved) {
        for (size_t i = 0; i < sources_.size(); ++i) {
          sources_[i]->load(named_ ? saved.at(i) : saved);
        }
      });
}

std::vector<std::string> Monitor::doubts() const {
  std::vector<std::string> found;
  for (const auto& source : sources_) {
    std::vector<std::string> of_source = source->doubts();
    std::move(of_source.begin(), of_source.end(), std::back_inserter(found));
  }
  return found;
}

int64_t Monitor::images(int64_t steps) const {
  int64_t images = 0;
  for (const auto& source : sources_) {
    images += source->images(steps);
  }
  return images;
}

void Monitor::try_images() const {
  for (const auto& source : sources_) {
    source->try_images();
  }
}

void Monitor::refuse_beyond_memory() const {
  for (const auto& source : sources_) {
    source->refuse_beyond_memory();
  }
}

std::vector<StepOnBatch> Monitor::passes() const {
  std::vector<StepOnBatch> passes;
  for (const auto& source : sources_) {
    passes.push_back(source->pass());
    passes.back().beside += best_bytes();
  }
  return passes;
}

double Monitor::look_bytes() const {
  double most = 0;
  for (const auto& source : sources_) {
    const StepOnBatch pass = source->pass();
    most = std::max({most, step_bytes(pass, 0) + pass.beside, source->figures_bytes()});
  }
  return most;
}

double Monitor::best_bytes() const {
  double bytes = 0;
  if (best_) {
    for (const auto& [network, module] : networks_) {
      bytes += bytes_of_copy(*module);
    }
  }
  return bytes;
}

std::string Monitor::name_of(const MonitoredSource& source, const std::string& figure) const {
  return named_ ? score_text(source.options().data, figure) : figure;
}

void Monitor::look(MonitoredSource& source, int64_t done, nlohmann::json& event) {
  for (const auto& [figure, value] : source.look(done)) {
    event[name_of(source, figure)] = value ? number_or_null(*value) : nlohmann::json();
    if (&source == chooses_ && figure == source.options().keep_best) {
      best_->offer(value.value_or(std::nan("")), done);
    }
  }
}

void Monitor::after_step(int64_t done, int64_t steps, Session::StepNews& news) {
  bool draws = false;
  for (const auto& source : sources_) {
    if (source->is_due(done, steps)) {
      look(*source, done, news.event["monitor"]);
      draws = draws || source->options().histograms;
    }
    for (const auto& [figure, value] : source->last()) {
      news.shown.emplace_back(name_of(*source, figure), value);
    }
  }
  if (draws) {
    nlohmann::json& all = news.event["histograms"] = nlohmann::json::object();
    for (const auto& [name, module] : networks_) {
      add_histograms(name, trainable_parameters(*module), all);
    }
  }
}

void Monitor::put_best() const {
  if (best_) {
    best_->put();
  }
}

nlohmann::json Monitor::report() const {
  nlohmann::json report = nlohmann::json::object();
  for (const auto& source : sources_) {
    if (named_) {
      report["sources"][source->options().data] = source->report();
    } else {
      report = source->report();
      report["data"] = source->options().data;
    }
  }
  if (best_) {
    report["best"] = {{"figure", name_of(*chooses_, chooses_->options().keep_best)},
                      {"value", number_or_null(best_->value())},
                      {"step", best_->step()}};
  }
  return report;
}

std::unique_ptr<Monitor> make_monitor(const StageContext& context, const BatchSource& training,
                                      Backbone& backbone, BestWeights::Networks networks) {
  return monitor_tables(context.stage).empty()
             ? nullptr
             : std::make_unique<Monitor>(context, training, backbone, std::move(networks));
}

}  // namespace bissl::host
