#include "weights/weights_file.h"

#include "bissl/error.h"
#include "store/safetensors.h"
#include "store/safetensors_header.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// Dictionaries deeper than that, or more of them, are not looked into: a list of networks is no
/// place for weights that somebody wants by name.
constexpr size_t deepest_dict = 8;
constexpr size_t most_dicts = 1000;
/// Of a tensor or of a dictionary of them.
constexpr size_t longest_tensor_name = 1000;
/// Of all names, each as often as it is one.
constexpr size_t most_bytes_of_names = largest_pickle;

/// An entry of a dictionary under a text.
struct NamedEntry {
  const std::string* name;
  PickleId value;
};

/// The entries under texts, in the order of the file, of equal texts the later one. Texts that are
/// too long for a name are passed over, so that to compare them costs little: one long text of a
/// pickle can be the key of very many entries.
std::vector<NamedEntry> named_entries(const PickleTree& tree, const PickleValue& dict) {
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& key = tree.at(dict.items[i]);
    const PickleKind kind = tree.at(dict.items[i + 1]).kind;
    if (key.kind != PickleKind::text) {
      continue;
    }
    if (key.text.size() <= longest_tensor_name) {
      places[key.text] = i;
    } else if (kind == PickleKind::tensor || kind == PickleKind::dict) {
      fail_input("it has a tensor or a dictionary under a name of {} bytes; at most {} are read",
                 key.text.size(), longest_tensor_name);
    }
  }
  std::vector<NamedEntry> entries;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& key = tree.at(dict.items[i]);
    const auto place = key.kind == PickleKind::text ? places.find(key.text) : places.end();
    if (place != places.end() && place->second == i) {
      entries.push_back({&key.text, dict.items[i + 1]});
    }
  }
  return entries;
}

/// Adds names up, of which a small pickle may make very many.
class NameCount {
 public:
  /// The same name, which is counted.
  std::string counted(std::string name) {
    bytes_ += name.size();
    if (bytes_ > most_bytes_of_names) {
      fail_input("its dictionaries have more than {} bytes of names", most_bytes_of_names);
    }
    return name;
  }

 private:
  size_t bytes_ = 0;
};

/// A safetensors file begins with a length of 8 bytes and the brace of its header.
bool is_safetensors(const fs::path& file) {
  const FileDescriptor open = open_for_reading(file);
  char head[9] = {};
  return read_at(open, head, sizeof(head), 0, file) == sizeof(head) && head[8] == '{';
}

/// A stage's folder is given easily in the place of the file in it.
[[noreturn]] void refuse_folder(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code ignored;
  for (fs::recursive_directory_iterator entry(folder, ignored), end; entry != end;
       entry.increment(ignored)) {
    if (entry.depth() > 1) {
      entry.disable_recursion_pending();
    }
    if (entry->path().filename() == "backbone.safetensors") {
      files.push_back(entry->path().string());
    }
  }
  std::sort(files.begin(), files.end());
  fail_input("{}: is a folder{}", folder.string(),
             files.empty()
                 ? "; expected a file of weights"
                 : fmt::format(" of a stage: name a file in it, {}", fmt::join(files, " or ")));
}

}  // namespace

const StoredTensor* StateDict::find(const std::string& name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const StoredTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

WeightsFile::WeightsFile(fs::path file) : file_(std::move(file)) {
  std::error_code ignored;
  if (fs::is_directory(file_, ignored)) {
    refuse_folder(file_);
  }
  const bool safetensors = is_safetensors(file_);
  try {
    if (safetensors) {
      read_safetensors();
    } else {
      read_torch();
    }
  } catch (const Error& error) {
    const std::string place = file_.string();
    throw std::string_view(error.what()).starts_with(place) ? error : error.at(place);
  }
}

const char* WeightsFile::format() const {
  return !torch_ ? "safetensors" : torch_->is_zip() ? "PyTorch" : "PyTorch before 1.6";
}

const StateDict* WeightsFile::dict(const std::string& path) const {
  const auto found = std::find_if(dicts_.begin(), dicts_.end(),
                                  [&](const StateDict& dict) { return dict.path == path; });
  return found == dicts_.end() ? nullptr : &*found;
}

void WeightsFile::read_safetensors() {
  tensors_ = host::read_safetensors(file_).tensors;
  StateDict& dict = dicts_.emplace_back();
  for (const auto& [name, tensor] : tensors_) {
    dict.tensors.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), dict.tensors.size()});
    keys_.insert(name);
  }
}

void WeightsFile::read_torch() {
  torch_ = std::make_unique<TorchFile>(file_);
  const PickleTree& tree = torch_->tree();
  opaque_ = tree.opaque;
  collect(tree);
  if (dicts_.empty()) {
    refuse_top(tree);
  }
}

void WeightsFile::refuse_top(const PickleTree& tree) const {
  const PickleValue& top = tree.top();
  if (top.kind == PickleKind::opaque) {
    fail_input(
        "it holds an object of the class {}, a whole module perhaps, which nothing but its own "
        "program can make. Save its weights alone: torch.save(model.state_dict(), file)",
        top.text);
  }
  if (top.kind == PickleKind::tensor) {
    fail_input("it holds one tensor without a name, not the weights of a network");
  }
  fail_input(
      "it holds no tensors under names. Expected is a dictionary of them, such as "
      "model.state_dict(), or one that has it under a key such as \"state_dict\"{}",
      opaque_.empty()
          ? ""
          : fmt::format(". Not looked into are objects of {}", fmt::join(opaque_, ", ")));
}

/// Breadth first, so that dictionaries come from the top down.
void WeightsFile::collect(const PickleTree& tree) {
  struct Step {
    PickleId id;
    std::string path;
    size_t depth;
  };
  std::vector<Step> steps = {{tree.root, "", 0}};
  std::set<PickleId> seen = {tree.root};
  NameCount names;
  for (size_t next = 0; next < steps.size(); ++next) {
    const Step step = steps[next];
    const PickleValue& dict = tree.at(step.id);
    if (dict.kind != PickleKind::dict) {
      continue;
    }
    StateDict found{.path = step.path, .tensors = {}};
    for (const NamedEntry& entry : named_entries(tree, dict)) {
      if (step.depth == 0) {
        keys_.insert(*entry.name);
      }
      const PickleValue& value = tree.at(entry.value);
      if (value.kind == PickleKind::tensor) {
        const PickleTensor& tensor = tree.tensors.at(static_cast<size_t>(value.integer));
        found.tensors.push_back({names.counted(*entry.name), tensor.type, tensor.shape,
                                 static_cast<size_t>(value.integer)});
      } else if (value.kind == PickleKind::dict && step.depth < deepest_dict &&
                 steps.size() < most_dicts && seen.insert(entry.value).second) {
        steps.push_back(
            {entry.value,
             names.counted(step.path.empty() ? *entry.name : step.path + "." + *entry.name),
             step.depth + 1});
      }
    }
    if (!found.tensors.empty()) {
      dicts_.push_back(std::move(found));
    }
  }
}

at::Tensor WeightsFile::read(const StoredTensor& tensor) const {
  if (!torch_) {
    return tensors_.at(tensor.place).tensor;
  }
  try {
    return torch_->read(torch_->tree().tensors.at(tensor.place), tensor.name);
  } catch (const Error& error) {
    throw error.at(file_.string());
  }
}

std::string types_text(const std::vector<StoredTensor>& tensors) {
  static const std::map<c10::ScalarType, const char*> names = {
      {c10::ScalarType::Double, "float64"}, {c10::ScalarType::Float, "float32"},
      {c10::ScalarType::Half, "float16"},   {c10::ScalarType::BFloat16, "bfloat16"},
      {c10::ScalarType::Long, "int64"},     {c10::ScalarType::Int, "int32"},
      {c10::ScalarType::Short, "int16"},    {c10::ScalarType::Char, "int8"},
      {c10::ScalarType::Byte, "uint8"},     {c10::ScalarType::Bool, "bool"}};
  std::vector<std::pair<std::string, size_t>> counts;
  for (const StoredTensor& tensor : tensors) {
    const std::string name = names.at(tensor.type);
    const auto found = std::find_if(counts.begin(), counts.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (found == counts.end()) {
      counts.emplace_back(name, 1);
    } else {
      ++found->second;
    }
  }
  std::string text;
  for (const auto& [name, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  }
  return text;
}

}  // namespace bissl::host
