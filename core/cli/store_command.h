#pragma once

#include "cli/pipeline_arguments.h"
#include "plugins/search.h"

#include <iosfwd>
#include <string>

namespace bissl::host {

struct StoreArguments {
  bool unused = false;     ///< prune what no run and no sweep refers to
  bool damaged = false;    ///< prune what was moved aside
  bool abandoned = false;  ///< prune unfinished stages that no process computes
  double older_than = 0;   ///< days; only what has not changed for so long
  bool dry_run = false;
};

/// `bissl store list`: everything that is in the store of --out.
int run_store_list(const PipelineArguments& arguments, std::ostream& out);

/// `bissl store explain P.toml`: for each stage whether it is in the store and, if not, what in its
/// key differs from the nearest stage that is.
int run_store_explain(const PipelineArguments& arguments, PluginSearch& plugins, std::ostream& out,
                      std::ostream& err);

/// `bissl store verify`: reads the content of all finished stages. Exit code 1 if one is damaged.
int run_store_verify(const PipelineArguments& arguments, std::ostream& out, std::ostream& err);

/// `bissl store prune`: removes what the arguments name.
int run_store_prune(const PipelineArguments& arguments, const StoreArguments& prune,
                    std::ostream& out, std::ostream& err);

}  // namespace bissl::host
