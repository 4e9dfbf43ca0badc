#include "cli/new_command.h"

#include "base/atomic_file.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "cli/reserved_names.h"
#include "cli/templates.h"
#include "plugins/stamp.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(ComponentKind::transform); ++i) {
    names.push_back(to_string(static_cast<ComponentKind>(i)));
  }
  return names;
}

ComponentKind kind_of(const std::string& name) {
  const std::vector<std::string> names = kind_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    fail_input("there is no kind \"{}\" of component; accepted: {}", name, fmt::join(names, ", "));
  }
  return static_cast<ComponentKind>(found - names.begin());
}

/// "my-loss2" as a type: MyLoss2Plugin. Where that would begin with a digit, the word goes first.
std::string class_name(const std::string& name) {
  std::string camel;
  bool begins = true;
  for (const char c : name) {
    if (c == '-') {
      begins = true;
      continue;
    }
    camel += static_cast<char>(begins ? std::toupper(c) : c);
    begins = false;
  }
  // The word keeps it apart from the sdk's interfaces, whatever the component is called.
  const bool digit = camel.empty() || std::isdigit(static_cast<unsigned char>(camel[0])) != 0;
  return digit ? "Plugin" + camel : camel + "Plugin";
}

std::string file_name(const std::string& name) {
  std::string file = name;
  std::replace(file.begin(), file.end(), '-', '_');
  return file;
}

using Words = std::map<std::string, std::string>;

/// What the pipeline has for each kind; the new component replaces its own.
Words pipeline_words(ComponentKind kind, const std::string& name) {
  Words words = {{"DATASET", "use     = \"synthetic\"\nsamples = 128\nsize    = 16"},
                 {"AUGMENT", "{ use = \"simclr\", size = 16 }"},
                 {"BACKBONE", "use   = \"resnet18\"\nstem  = \"small\"\nwidth = 4"},
                 {"PRETEXT", "use = \"simclr\", projector = [16, 16]"},
                 {"DOWNSTREAM", "use = \"classification\""},
                 {"HYPERGRADIENT", "use = \"cg\", iterations = 2"},
                 {"OPTIMIZER", "use = \"sgd\", lr = 0.01"}};
  std::string slot = to_string(kind);
  std::transform(slot.begin(), slot.end(), slot.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  words[slot] = fmt::format("use = \"{}\"", name);
  if (kind == ComponentKind::augmentation) {
    words["AUGMENT"] = fmt::format("{{ use = \"{}\" }}", name);
  } else if (kind == ComponentKind::transform) {
    words["AUGMENT"] = fmt::format(
        "[ {{ use = \"resized-crop\", size = 16 }}, {{ use = \"{}\" }}, {{ use = \"normalize\" }} "
        "]",
        name);
  }
  if (kind == ComponentKind::optimizer) {
    words[slot] += ", lr = 0.01";
  }
  return words;
}

std::string filled(const std::string& text, const Words& words) {
  std::string result;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t open = text.find('@', begin);
    const size_t close = open == std::string::npos ? open : text.find('@', open + 1);
    if (close == std::string::npos) {
      break;
    }
    const auto word = words.find(text.substr(open + 1, close - open - 1));
    if (word == words.end()) {
      result += text.substr(begin, open + 1 - begin);
      begin = open + 1;
    } else {
      result += text.substr(begin, open - begin) + word->second;
      begin = close + 1;
    }
  }
  return result + text.substr(begin);
}

/// The project's files with their contents.
std::map<std::string, std::string> files_of(ComponentKind kind, const std::string& name) {
  Words words = pipeline_words(kind, name);
  words["NAME"] = name;
  words["KIND"] = to_string(kind);
  words["FILE"] = file_name(name);
  words["CLASS"] = class_name(name);
  const auto content = [&](const std::string& file) {
    return filled(plugin_templates().at(file + ".in"), words);
  };
  return {{"CMakeLists.txt", content("CMakeLists.txt")},
          {"README.md", content("README.md")},
          {"pipeline.toml", content("pipeline.toml")},
          {file_name(name) + ".cpp", content(to_string(kind) + ".cpp")}};
}

}  // namespace

int run_new(const std::string& kind_word, const std::string& name, const fs::path& parent,
            const Registry& registry, std::ostream& out) {
  const ComponentKind kind = kind_of(kind_word);
  if (!is_name(name)) {
    fail_input(
        "\"{}\" cannot be a component's name: expected lower-case letters, digits and "
        "hyphens, such as \"my-loss\"",
        name);
  }
  if (const std::string reason = why_reserved(name); !reason.empty()) {
    fail_input("\"{}\" cannot be a component's name: it {}; choose another name, such as \"my-{}\"",
               name, reason, kind_word);
  }
  if (const auto taken = registry.find(kind, name)) {
    fail_input("the {} \"{}\" exists already, in {}: choose another name", kind_word, name,
               taken->library.path);
  }
  // The project's library gets the name as well.
  for (const LibraryIdentity& library : registry.libraries()) {
    if (library.name == name) {
      fail_input(
          "the plugin library \"{}\" exists already, in {}, and would keep one of the same name "
          "from being loaded: choose another name",
          name, library.path);
    }
  }
  const fs::path folder = parent / name;
  std::error_code error;
  if (fs::exists(fs::symlink_status(folder, error))) {
    fail_input("{} exists already; nothing was written", folder.string());
  }
  const fs::path unfinished = parent / fmt::format(".{}.new", name);
  fs::remove_all(unfinished, error);
  if (!fs::create_directories(unfinished, error)) {
    fail_input("cannot make {}: {}", folder.string(), error.message());
  }
  for (const auto& [file, content] : files_of(kind, name)) {
    write_file_atomically(unfinished / file, content);
  }
  fs::rename(unfinished, folder, error);
  if (error) {
    fail_input("cannot make {}: {}", folder.string(), error.message());
  }
  out << fmt::format(
      "{0}: a project for the {1}, with an example to change, its tests, and a pipeline that "
      "uses it\n\n"
      "  cd {0}\n  cmake -B build && cmake --build build\n  ctest --test-dir build\n",
      folder.string(), to_string(kind));
  return exit_done;
}

}  // namespace bissl::host
