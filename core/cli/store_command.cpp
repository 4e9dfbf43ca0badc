#include "cli/store_command.h"

#include "base/json_text.h"
#include "base/table.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "stages/identity.h"
#include "store/references.h"
#include "store/stage_store.h"
#include "store/store_entries.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <ostream>
#include <system_error>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// Opens the store of --out; one that is not there is not made.
StageStore open_store(const PipelineArguments& arguments, std::ostream* err = nullptr) {
  const fs::path root = store_folder(arguments.out);
  if (!fs::exists(root)) {
    fail_input("there is no store {}; --out names the folder that holds it", root.string());
  }
  StoreListener listener;
  if (err != nullptr) {
    listener.warn = [err](const std::string& text) { *err << text << std::endl; };
    listener.waiting = listener.warn;
  }
  return StageStore(root, listener);
}

std::string size_text(uint64_t bytes) {
  return bytes >= 1'000'000 ? fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6)
                            : fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
}

/// Negative for a time ahead, which the clock of another machine, or this one's before it was set,
/// may have left.
double age_in_days(const StoreEntry& entry) {
  const auto age = fs::file_time_type::clock::now() - entry.changed;
  return std::chrono::duration<double, std::ratio<86400>>(age).count();
}

bool is_old_enough(const StoreEntry& entry, double days) {
  return days <= 0 || age_in_days(entry) >= days;
}

std::string age_text(const StoreEntry& entry) {
  const double days = age_in_days(entry);
  constexpr double minute = 1.0 / 1440;
  return days < -minute    ? "in the future"
         : days >= 1       ? fmt::format("{:.0f} d", days)
         : days >= 1. / 24 ? fmt::format("{:.0f} h", days * 24)
                           : fmt::format("{:.0f} min", std::max(0.0, days / minute));
}

nlohmann::json to_json(const StoreEntry& entry, const References& references) {
  return {{"key", entry.key},
          {"state", to_string(entry.state)},
          {"folder", entry.folder.string()},
          {"bytes", entry.bytes},
          {"description", entry.description},
          {"used_by", references.of(entry)}};
}

std::string kind_of(const StoreEntry& entry) {
  return entry.description.is_object() ? entry.description.value("kind", "?") : "?";
}

std::string seed_of(const StoreEntry& entry) {
  return entry.description.is_object() && entry.description.contains("seed")
             ? json_text(entry.description["seed"])
             : "?";
}

/// A stage of a pipeline, and what the store has of it or in its place.
struct ExplainedStage {
  const Stage& stage;
  std::string key;
  bool found = false;    ///< it is in the store
  NearestStage nearest;  ///< of one that is not
};

/// What a store has of the stages of a pipeline. Reads the other stages where one is missing.
std::vector<ExplainedStage> find_stages(const Pipeline& pipeline, DataCatalog& data,
                                        StageStore& store) {
  std::vector<ExplainedStage> stages;
  std::map<std::string, std::string> keys;
  bool all = true;
  for (const Stage& stage : pipeline.stages) {
    const StageIdentity identity = identify(pipeline, stage, data, keys);
    keys[stage.name] = identity.key;
    const bool found = store.find(identity.key).has_value();
    stages.push_back({stage, identity.key, found, NearestStage(identity.description)});
    all = all && found;
  }
  if (!all) {
    each_entry(store, [&](const StoreEntry& entry) {
      for (ExplainedStage& stage : stages) {
        if (!stage.found) {
          stage.nearest.look_at(entry);
        }
      }
    });
  }
  return stages;
}

/// Why a stage is not in the store, in lines that are indented.
std::string explain(const ExplainedStage& missing) {
  const std::string& parent = missing.stage.from;
  const auto& nearest = missing.nearest.nearest();
  if (!nearest) {
    return missing.nearest.saw_other_forms()
               ? "  no stage of this kind is in the store with a key of today's form; stages of "
                 "other versions of bissl are, which are not used\n"
               : "  no stage of this kind is in the store\n";
  }
  std::string text =
      fmt::format("  the nearest finished stage, {}, differs in\n", nearest->key.substr(0, 8));
  for (const Difference& one : nearest->differences) {
    if (one.path == "parent" && !parent.empty()) {
      text += fmt::format("    the stage it continues: {} is another one (see above)\n", parent);
    } else {
      text += fmt::format("    {}: {} here, {} there\n", readable_path(one.path),
                          short_text(one.left), short_text(one.right));
    }
  }
  return text;
}

}  // namespace

int run_store_list(const PipelineArguments& arguments, std::ostream& out) {
  const StageStore store = open_store(arguments);
  const References references = find_references(arguments.out);
  if (arguments.json) {
    nlohmann::json list = nlohmann::json::array();
    each_entry(store, [&](const StoreEntry& entry) { list.push_back(to_json(entry, references)); });
    out << json_text({{"store", store.root().string()}, {"entries", list}}, 2) << '\n';
    return exit_done;
  }
  using Align = TextTable::Align;
  TextTable table({{"key"},
                   {"kind"},
                   {"seed", Align::right},
                   {"state"},
                   {"size", Align::right},
                   {"changed", Align::right},
                   {"used by"}});
  uint64_t bytes = 0;
  size_t entries = 0;
  each_entry(store, [&](const StoreEntry& entry) {
    const std::vector<std::string>& users = references.of(entry);
    table.add_row({entry.key.substr(0, 12), kind_of(entry), seed_of(entry), to_string(entry.state),
                   size_text(entry.bytes), age_text(entry),
                   users.empty()      ? "nothing"
                   : users.size() > 1 ? fmt::format("{} and {} more", users[0], users.size() - 1)
                                      : users[0]});
    bytes += entry.bytes;
    ++entries;
  });
  out << table.text()
      << fmt::format("\n{}: {} entries, {}\n", store.root().string(), entries, size_text(bytes));
  return exit_done;
}

int run_store_explain(const PipelineArguments& arguments, PluginSearch& plugins, std::ostream& out,
                      std::ostream& err) {
  const auto pipeline = read_or_report(arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  StageStore store = open_store(arguments, &err);
  DataCatalog data(*pipeline, arguments.make_datasets());
  nlohmann::json list = nlohmann::json::array();
  for (const ExplainedStage& one : find_stages(*pipeline, data, store)) {
    const std::string& key = one.key;
    nlohmann::json item = {{"stage", one.stage.name}, {"key", key}, {"in_store", one.found}};
    if (!arguments.json) {
      out << fmt::format("{}: {} {}\n", one.stage.name, key.substr(0, 8),
                         one.found               ? "is in the store"
                         : store.is_running(key) ? "is being computed"
                         : store.is_begun(key)   ? "was begun and is not finished"
                                                 : "is not in the store")
          << (one.found ? "" : explain(one));
      continue;
    }
    if (!one.found) {
      const auto& nearest = one.nearest.nearest();
      item["nearest"] = nearest ? nlohmann::json(nearest->key) : nlohmann::json(nullptr);
      for (const Difference& part : nearest ? nearest->differences : std::vector<Difference>()) {
        item["differences"].push_back(
            {{"key", readable_path(part.path)}, {"here", part.left}, {"there", part.right}});
      }
    }
    list.push_back(std::move(item));
  }
  if (arguments.json) {
    out << json_text({{"stages", list}}, 2) << '\n';
  }
  return exit_done;
}

int run_store_verify(const PipelineArguments& arguments, std::ostream& out, std::ostream& err) {
  const StageStore store = open_store(arguments);
  nlohmann::json damaged = nlohmann::json::array();
  size_t whole = 0;
  for (const std::string& key : finished_keys(store)) {
    if (const std::optional<std::string> damage = store.verify(key)) {
      err << fmt::format("{}: {}\n", (store.root() / key).string(), *damage);
      damaged.push_back({{"key", key}, {"damage", *damage}});
    } else {
      ++whole;
    }
  }
  if (arguments.json) {
    out << json_text({{"whole", whole}, {"damaged", damaged}}, 2) << '\n';
  } else {
    out << fmt::format("{}: {} stages are whole, {} damaged{}\n", store.root().string(), whole,
                       damaged.size(),
                       damaged.empty() ? "" : "; the next run that needs one computes it again");
  }
  return damaged.empty() ? exit_done : exit_run_failed;
}

namespace {

/// What `prune` may remove by state and age. Of descriptions it keeps the kinds, which are shown,
/// and the stages of audits, whose users are asked for.
std::vector<StoreEntry> prunable_entries(const StageStore& store, const StoreArguments& prune) {
  using State = StoreEntry::State;
  std::vector<StoreEntry> found;
  each_entry(store, [&](StoreEntry entry) {
    const bool asked = (prune.unused && entry.state == State::finished) ||
                       (prune.damaged && entry.state == State::damaged) ||
                       (prune.abandoned && entry.state == State::stale);
    if (asked && is_old_enough(entry, prune.older_than)) {
      nlohmann::json kept = nlohmann::json::object({{"kind", kind_of(entry)}});
      if (entry.description.contains("stage")) {
        kept["stage"] = entry.description["stage"];
      }
      entry.description = std::move(kept);
      found.push_back(std::move(entry));
    }
  });
  return found;
}

/// What earlier removals have left, however old: none of it is of use. Returns how much it is.
uint64_t finish_removals(const StageStore& store, bool dry_run) {
  uint64_t bytes = 0;
  for (const fs::path& folder : unfinished_removals(store)) {
    bytes += bytes_in(folder);
    if (!dry_run) {
      std::error_code ignored;  // another process may be removing it
      fs::remove_all(folder, ignored);
    }
  }
  return bytes;
}

}  // namespace

int run_store_prune(const PipelineArguments& arguments, const StoreArguments& prune,
                    std::ostream& out, std::ostream& err) {
  if (!prune.unused && !prune.damaged && !prune.abandoned) {
    fail_input(
        "say what to remove: --unused (no run and no sweep below {} refers to it), "
        "--damaged, --abandoned, or several of them",
        arguments.out.string());
  }
  StageStore store = open_store(arguments, &err);
  std::vector<StoreEntry> chosen = prunable_entries(store, prune);
  // After the store, so that what a run has finished in the meantime is not taken for unused.
  const References references = find_references(arguments.out);
  if (prune.unused && !references.unreadable.empty()) {
    fail_input(
        "nothing is removed: which stages are unused is not known while this cannot be read: {}. "
        "Start a sweep again whose plan is damaged, which plans it anew; let this user read a "
        "folder; or remove the folder, if nobody needs its runs",
        references.unreadable.front());
  }
  std::erase_if(chosen, [&](const StoreEntry& entry) {
    return entry.state == StoreEntry::State::finished && !references.of(entry).empty();
  });
  uint64_t bytes = prune.abandoned ? finish_removals(store, prune.dry_run) : 0;
  nlohmann::json removed = nlohmann::json::array();
  for (const StoreEntry& entry : prune.dry_run ? chosen : store.remove(chosen)) {
    bytes += entry.bytes;
    removed.push_back(entry.folder.filename().string());
    if (!arguments.json) {
      out << fmt::format("{} {}  {}  {}\n", prune.dry_run ? "would remove" : "removed",
                         entry.folder.filename().string(), kind_of(entry), size_text(entry.bytes));
    }
  }
  if (arguments.json) {
    out << json_text({{"removed", removed}, {"bytes", bytes}, {"dry_run", prune.dry_run}}, 2)
        << '\n';
  } else {
    out << fmt::format("{} {} entries, {}\n", prune.dry_run ? "would free" : "freed",
                       removed.size(), size_text(bytes));
  }
  return exit_done;
}

}  // namespace bissl::host
