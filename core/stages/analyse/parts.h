#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "data/batches.h"
#include "stages/analyse/options.h"
#include "stages/context.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What an analyse stage consists of; for its run and its check.
struct AnalyseParts {
  AnalyseOptions options;
  std::optional<PairsOptions> pairs;
  std::shared_ptr<BatchSource> bank;                  ///< null for none
  std::vector<std::shared_ptr<BatchSource>> sources;  ///< in the order of options.data
  std::vector<std::shared_ptr<BatchSource>> views;    ///< the same, of several views; or empty
  std::optional<ProbeViewsOptions> probe_views;
  std::shared_ptr<BatchSource> probe_source;  ///< the bank in such views, an image a batch; or null
  std::shared_ptr<Backbone> backbone;
  size_t levels = 0;  ///< of maps that are looked at; 0: none
  /// The heads of this stage's parent ("") and of those it is compared with, by name, where "head"
  /// is a probe and they have one; load_network and load_compared load them with the backbone.
  std::map<std::string, std::shared_ptr<Downstream>> heads;

  bool draws(const char* picture) const;
  /// Whether a probe is fitted to the bank.
  bool fits_probes() const;
  /// The names of a source's classes; none where it has no categories.
  std::vector<std::string> class_names(size_t source) const;

  /// Passes of batches for `networks` networks of the stage's own and for all that they are
  /// compared with, of which the bank is seen only where pictures of saliency ask them.
  int64_t batches(int64_t networks) const;
  /// Of the batches of several views, the numbers of those that are looked at.
  std::vector<int64_t> chosen_views(size_t source) const;
};

AnalyseParts build_analyse(const StageContext& context);

/// Loads the weights of a compared stage into parts.backbone; those of "scratch" are random.
void load_compared(const StageContext& context, const AnalyseParts& parts,
                   const std::string& stage);

/// The same for one of the networks of the stage that this one continues.
void load_network(const StageContext& context, const AnalyseParts& parts, int64_t network);

}  // namespace bissl::host
