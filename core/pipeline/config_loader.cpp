#include "pipeline/config_loader.h"

#include "base/json_text.h"
#include "base/posix_file.h"
#include "pipeline/path_fault.h"
#include "pipeline/toml_parser.h"
#include "pipeline/unset_keys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_bytes = size_t{1} << 20;
constexpr size_t most_files = 100;

/// What comes of the file, up to one byte more than is allowed, so that endless files end here;
/// none where reading fails, with errno set.
std::optional<std::string> read_most(const FileDescriptor& open) {
  std::string text(most_bytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(open.get(), text.data() + size, text.size() - size);
    if (count == 0) {
      break;
    }
    if (count > 0) {
      size += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      return std::nullopt;
    }
  }
  text.resize(size);
  return text;
}

/// The file's content, or nothing with the reason in `problem`. A shell's <(command) is a pipe.
std::optional<std::string> read_text(const fs::path& file, std::string& problem) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. Reading waits again.
  const FileDescriptor open(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!open.valid() || fstat(open.get(), &status) != 0 ||
      fcntl(open.get(), F_SETFL, fcntl(open.get(), F_GETFL) & ~O_NONBLOCK) != 0) {
    problem = fmt::format("the file cannot be opened: {}", std::strerror(errno));
    return std::nullopt;
  }
  if (S_ISDIR(status.st_mode)) {
    problem = "this is a folder; expected a TOML file";
    return std::nullopt;
  }
  std::optional<std::string> text = read_most(open);
  if (!text) {
    problem = fmt::format("the file cannot be read: {}", std::strerror(errno));
    return std::nullopt;
  }
  if (text->size() > most_bytes) {
    problem = fmt::format("the file is larger than {} bytes, too large for a pipeline", most_bytes);
    return std::nullopt;
  }
  if (text->empty() && S_ISFIFO(status.st_mode)) {
    problem = "this is a pipe that nobody writes to; expected a TOML file";
    return std::nullopt;
  }
  return text;
}

class Loader {
 public:
  Loader(const MergeRules& rules, DiagnosticCollector& diagnostics)
      : rules_(rules), diagnostics_(diagnostics) {}

  /// `asked_at` is where the file is named: itself for the first.
  std::optional<ConfigNode> load(const fs::path& file, const Location& asked_at) {
    if (!enter(file, asked_at)) {
      return std::nullopt;
    }
    std::optional<ConfigNode> root = load_entered(file, asked_at);
    chain_.pop_back();
    return root;
  }

 private:
  struct Link {
    fs::path shown;
    fs::path identity;
  };

  bool enter(const fs::path& file, const Location& asked_at) {
    std::error_code ignored;
    fs::path identity = fs::weakly_canonical(file, ignored);
    if (ignored) {
      identity = file;
    }
    const auto same = [&](const Link& link) { return link.identity == identity; };
    const bool circular = std::any_of(chain_.begin(), chain_.end(), same);
    chain_.push_back({file, identity});
    if (circular) {
      report_cycle(identity, asked_at);
      chain_.pop_back();
      return false;
    }
    if (++files_ > most_files) {
      diagnostics_.error(asked_at, "include",
                         fmt::format("more than {} files are included", most_files));
      chain_.pop_back();
      return false;
    }
    return true;
  }

  void report_cycle(const fs::path& identity, const Location& asked_at) {
    std::vector<std::string> names;
    for (const Link& link : chain_) {
      if (!names.empty() || link.identity == identity) {
        names.push_back(link.shown.string());
      }
    }
    diagnostics_.error(
        asked_at, "include",
        fmt::format("files include each other in a circle: {}", fmt::join(names, " → ")));
  }

  std::optional<ConfigNode> load_entered(const fs::path& file, const Location& asked_at) {
    std::string problem;
    const std::optional<std::string> text = read_text(file, problem);
    if (!text) {
      const bool included = chain_.size() > 1;
      diagnostics_.error(asked_at, included ? "include" : "",
                         included ? fmt::format("{}: {}", file.string(), problem) : problem);
      return std::nullopt;
    }
    std::optional<ConfigNode> own = parse_toml(*text, file.string(), diagnostics_);
    if (!own) {
      return std::nullopt;
    }
    read_unset(*own, diagnostics_);
    ConfigNode root;
    root.at = own->at;
    if (const ConfigEntry* include = own->find("include")) {
      if (!load_included(*include, file.parent_path(), root)) {
        return std::nullopt;
      }
      own->erase("include");
    }
    merge_pipeline(root, std::move(*own), rules_);
    return root;
  }

  /// Merges all that are named into `root`; reports every one that fails, not only the first.
  bool load_included(const ConfigEntry& include, const fs::path& folder, ConfigNode& root) {
    const std::string accepted = "an array of files, such as [\"common.toml\"]";
    const std::optional<Value> value = to_value(include.value);
    if (!value || (!include.value.items.empty() && type_of(*value) != ValueType::strings) ||
        include.value.type != ConfigNode::Type::array) {
      diagnostics_.error(include.value.at, "include", describe_given(include.value), accepted);
      return false;
    }
    bool complete = true;
    for (const ConfigNode& item : include.value.items) {
      const auto& text = std::get<std::string>(item.scalar);
      if (const std::string fault = path_fault(text); !fault.empty()) {
        diagnostics_.error(item.at, "include", fault);
        complete = false;
        continue;
      }
      const fs::path file = (folder / text).lexically_normal();
      std::optional<ConfigNode> included = load(file, item.at);
      if (included) {
        merge_pipeline(root, std::move(*included), rules_);
      } else {
        complete = false;
      }
    }
    return complete;
  }

  const MergeRules& rules_;
  DiagnosticCollector& diagnostics_;
  std::vector<Link> chain_;
  size_t files_ = 0;
};

/// The first `=` that is not inside a quoted part of the key.
size_t find_equals(const std::string& text) {
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    if (quote != '\0') {
      if (text[i] == '\\' && quote == '"') {
        ++i;
      } else if (text[i] == quote) {
        quote = '\0';
      }
    } else if (text[i] == '"' || text[i] == '\'') {
      quote = text[i];
    } else if (text[i] == '=') {
      return i;
    }
  }
  return std::string::npos;
}

std::string joined_keys(const std::vector<std::string>& keys) {
  std::string path;
  for (const std::string& key : keys) {
    path = joined_key(path, key);
  }
  return path;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// Gathers the changes in one tree, which is then laid on the file's as a whole: so an override
/// of `use` and one of the new component's parameters may come in any order.
class Overrides {
 public:
  Overrides(const ConfigNode& below, DiagnosticCollector& diagnostics)
      : below_(below), diagnostics_(diagnostics) {}

  void add(const std::string& text) {
    const Location at{"--set " + shortened(text), 0, 0};
    const size_t equals = find_equals(text);
    const std::vector<std::string> keys = equals == std::string::npos
                                              ? std::vector<std::string>{}
                                              : parse_toml_key(text.substr(0, equals));
    if (!is_utf8(text)) {
      diagnostics_.error(at, "", "not valid UTF-8");
    } else if (keys.empty()) {
      diagnostics_.error(at, "", "this is not an override",
                         "KEY=VALUE, such as stage.pretrain.optimizer.lr=0.1");
    } else if (keys.size() == 1 && keys.front() == "include") {
      diagnostics_.error(at, "include", "this can only stand in a file");
    } else {
      std::optional<ConfigNode> given = value(text.substr(equals + 1), at, joined_keys(keys));
      if (given) {
        place(keys, std::move(*given), at);
      }
    }
  }

  void take_away(const std::string& text) {
    const Location at{"--unset " + shortened(text), 0, 0};
    const std::vector<std::string> keys =
        is_utf8(text) ? parse_toml_key(text) : std::vector<std::string>{};
    if (keys.empty()) {
      diagnostics_.error(at, "", "this is not a key",
                         "a dotted key, such as stage.pretrain.epochs");
    } else {
      tree_.unset.push_back({keys, at});
    }
  }

  ConfigNode take() { return std::move(tree_); }

 private:
  /// Nothing, with a report, for what is meant as a value of TOML and is none.
  std::optional<ConfigNode> value(const std::string& text, const Location& at,
                                  const std::string& key) {
    const std::string written = trimmed(text);
    if (std::optional<ConfigNode> parsed = parse_toml_value(text, at)) {
      using Type = ConfigNode::Type;
      if (parsed->type != Type::text && parsed->type != Type::array &&
          parsed->type != Type::table) {
        parsed->spelled = written;
      }
      return parsed;
    }
    // What begins as a value of TOML is meant as one; anything else is a text.
    const std::string fault = toml_value_fault(text);
    const bool meant =
        !written.empty() && std::string("[{\"'").find(written[0]) != std::string::npos;
    if (meant || fault.find("64 bits") != std::string::npos) {
      diagnostics_.error(at, key, fault);
      return std::nullopt;
    }
    ConfigNode node;
    node.type = ConfigNode::Type::text;
    node.at = at;
    node.scalar = text;
    return node;
  }

  /// What lies under a key of a table, or under a number in an array of tables; null for nothing.
  static const ConfigNode* child(const ConfigNode& node, const std::string& key) {
    const ConfigEntry* entry = node.find(key);
    return entry != nullptr ? &entry->value : node.item(key);
  }

  void place(const std::vector<std::string>& keys, ConfigNode node, const Location& at) {
    const ConfigNode* below = &below_;
    ConfigNode* level = &tree_;
    for (size_t i = 0; i + 1 < keys.size(); ++i) {
      below = below == nullptr ? nullptr : child(*below, keys[i]);
      ConfigEntry* present = level->find(keys[i]);
      const ConfigNode* blocking = present != nullptr ? &present->value : below;
      if (blocking != nullptr && !blocking->is_table() &&
          (i + 2 == keys.size() || blocking->item(keys[i + 1]) == nullptr)) {
        const std::vector<std::string> path(keys.begin(), keys.begin() + static_cast<long>(i) + 1);
        diagnostics_.error(
            at, joined_keys(keys),
            fmt::format("{} is not a table (at {}: {}), so nothing can be set in it",
                        joined_keys(path), blocking->at.text(), describe_given(*blocking)));
        return;
      }
      if (present == nullptr) {
        ConfigNode table;
        table.at = at;
        present = &level->set({keys[i], at, std::move(table)});
      }
      level = &present->value;
    }
    level->set({keys.back(), at, std::move(node)});
  }

  const ConfigNode& below_;
  DiagnosticCollector& diagnostics_;
  ConfigNode tree_;
};

}  // namespace

std::optional<ConfigNode> load_config(const fs::path& file, const Changes& changes,
                                      const MergeRules& rules, DiagnosticCollector& diagnostics) {
  std::optional<ConfigNode> root =
      Loader(rules, diagnostics).load(file, Location{file.string(), 0, 0});
  if (!root) {
    return std::nullopt;
  }
  Overrides laid(*root, diagnostics);
  for (const std::string& text : changes.unset) {
    laid.take_away(text);
  }
  for (const std::string& text : changes.set) {
    laid.add(text);
  }
  ConfigNode over = laid.take();
  read_unset(over, diagnostics);
  merge_pipeline(*root, std::move(over), rules);
  return root;
}

}  // namespace bissl::host
