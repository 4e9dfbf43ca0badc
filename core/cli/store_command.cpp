#include "cli/store_command.h"

#include "base/json_text.h"
#include "base/table.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "stages/identity.h"
#include "store/references.h"
#include "store/stage_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>

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

/// Why a stage is not in the store, in lines that are indented.
std::string explain(const StageIdentity& identity, const std::vector<StoreEntry>& entries,
                    const std::string& parent) {
  const auto nearest = nearest_entry(identity.description, entries);
  if (!nearest) {
    const bool older = std::any_of(entries.begin(), entries.end(), [&](const StoreEntry& entry) {
      return entry.state == StoreEntry::State::finished && entry.description.is_object() &&
             form_of(entry.description) != form_of(identity.description);
    });
    return older ? "  no stage of this kind is in the store with a key of today's form; stages of "
                   "other versions of bissl are, which are not used\n"
                 : "  no stage of this kind is in the store\n";
  }
  std::string text = fmt::format("  the nearest finished stage, {}, differs in\n",
                                 nearest->entry.key.substr(0, 8));
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
  const std::vector<StoreEntry> entries = store.entries();
  if (arguments.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const StoreEntry& entry : entries) {
      list.push_back(to_json(entry, references));
    }
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
  for (const StoreEntry& entry : entries) {
    const std::vector<std::string>& users = references.of(entry);
    table.add_row({entry.key.substr(0, 12), kind_of(entry), seed_of(entry), to_string(entry.state),
                   size_text(entry.bytes), age_text(entry),
                   users.empty()      ? "nothing"
                   : users.size() > 1 ? fmt::format("{} and {} more", users[0], users.size() - 1)
                                      : users[0]});
    bytes += entry.bytes;
  }
  out << table.text()
      << fmt::format("\n{}: {} entries, {}\n", store.root().string(), entries.size(),
                     size_text(bytes));
  return exit_done;
}

int run_store_explain(const PipelineArguments& arguments, PluginSearch& plugins, std::ostream& out,
                      std::ostream& err) {
  const auto pipeline = read_or_report(arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  StageStore store = open_store(arguments, &err);
  const std::vector<StoreEntry> entries = store.entries();
  DataCatalog data(*pipeline, arguments.make_datasets());
  std::map<std::string, std::string> keys;
  nlohmann::json list = nlohmann::json::array();
  for (const Stage& stage : pipeline->stages) {
    const StageIdentity identity = identify(*pipeline, stage, data, keys);
    keys[stage.name] = identity.key;
    const bool found = store.find(identity.key).has_value();
    nlohmann::json item = {{"stage", stage.name}, {"key", identity.key}, {"in_store", found}};
    if (!arguments.json) {
      out << fmt::format("{}: {} {}\n", stage.name, identity.key.substr(0, 8),
                         found                            ? "is in the store"
                         : store.is_running(identity.key) ? "is being computed"
                         : store.is_begun(identity.key)   ? "was begun and is not finished"
                                                          : "is not in the store")
          << (found ? "" : explain(identity, entries, stage.from));
      continue;
    }
    if (!found) {
      const auto nearest = nearest_entry(identity.description, entries);
      item["nearest"] = nearest ? nlohmann::json(nearest->entry.key) : nlohmann::json(nullptr);
      for (const Difference& one : nearest ? nearest->differences : std::vector<Difference>()) {
        item["differences"].push_back(
            {{"key", readable_path(one.path)}, {"here", one.left}, {"there", one.right}});
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
  for (const StoreEntry& entry : store.entries()) {
    if (entry.state != StoreEntry::State::finished) {
      continue;
    }
    if (const std::optional<std::string> damage = store.verify(entry.key)) {
      err << fmt::format("{}: {}\n", entry.folder.string(), *damage);
      damaged.push_back({{"key", entry.key}, {"damage", *damage}});
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

int run_store_prune(const PipelineArguments& arguments, const StoreArguments& prune,
                    std::ostream& out, std::ostream& err) {
  if (!prune.unused && !prune.damaged && !prune.abandoned) {
    fail_input(
        "say what to remove: --unused (no run and no sweep below {} refers to it), "
        "--damaged, --abandoned, or several of them",
        arguments.out.string());
  }
  StageStore store = open_store(arguments, &err);
  const References references = find_references(arguments.out);
  if (prune.unused && !references.unreadable.empty()) {
    fail_input(
        "nothing is removed: which stages are unused is not known while this cannot be read: {}. "
        "Start a sweep again whose plan is damaged, which plans it anew; let this user read a "
        "folder; or remove what is no longer wanted",
        references.unreadable.front());
  }
  std::vector<StoreEntry> chosen;
  for (StoreEntry& entry : store.entries()) {
    const bool unused = entry.state == StoreEntry::State::finished && references.of(entry).empty();
    if (((prune.unused && unused) || (prune.damaged && entry.state == StoreEntry::State::damaged) ||
         (prune.abandoned && entry.state == StoreEntry::State::stale)) &&
        is_old_enough(entry, prune.older_than)) {
      chosen.push_back(std::move(entry));
    }
  }
  uint64_t bytes = 0;
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
