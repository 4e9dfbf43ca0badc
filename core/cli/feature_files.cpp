#include "cli/feature_files.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "bissl/error.h"
#include "store/safetensors.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

fs::path beside(const fs::path& to, const char* what) {
  return to.parent_path() / (to.stem().string() + "." + what + to.extension().string());
}

/// NumPy's format 1.0: a magic, the length of a header in Python's spelling, the numbers.
void write_npy(const fs::path& file, const at::Tensor& tensor) {
  const at::Tensor stored = tensor.contiguous();
  const char* type = stored.scalar_type() == at::kLong ? "<i8" : "<f4";
  std::string header = fmt::format(
      "{{'descr': '{}', 'fortran_order': False, 'shape': ({},{}), }}", type,
      fmt::join(stored.sizes().slice(0, 1), ""),
      stored.dim() > 1 ? fmt::format(" {}", fmt::join(stored.sizes().slice(1), ", ")) : "");
  constexpr size_t before = 10;
  constexpr size_t alignment = 64;
  const size_t whole = (before + header.size() + 1 + alignment - 1) / alignment * alignment;
  header.resize(whole - before - 1, ' ');
  header += '\n';
  AtomicFile out(file);
  out.write(std::string_view("\x93NUMPY\x01\x00", 8));
  const auto length = static_cast<uint16_t>(header.size());
  out.write(&length, sizeof(length));
  out.write(header);
  out.write(stored.data_ptr(), stored.nbytes());
  out.commit();
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  }
  return quoted + '"';
}

void add_columns(std::string& line, const char* name, const at::Tensor& tensor) {
  const int64_t columns = tensor.numel() / std::max<int64_t>(1, tensor.size(0));
  for (int64_t i = 0; i < columns; ++i) {
    line += fmt::format(",{}{}", name, i);
  }
}

void add_numbers(std::string& line, const at::Tensor& row) {
  const at::Tensor flat = row.contiguous();
  const auto* numbers = flat.data_ptr<float>();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    line += fmt::format(",{}", numbers[i]);
  }
}

void write_csv(const fs::path& file, const FeatureTable& table) {
  const bool category = table.spec.kind == TargetKind::category && table.targets.defined();
  AtomicFile out(file);
  std::string line = "sample";
  if (category) {
    line += ",target,target_name";
  } else if (table.targets.defined()) {
    for (size_t i = 0; i < static_cast<size_t>(table.spec.width); ++i) {
      line += "," + csv_cell(i < table.spec.names.size() ? table.spec.names[i]
                                                         : fmt::format("target{}", i));
    }
  }
  if (table.outputs.defined()) {
    add_columns(line, "output", table.outputs);
  }
  add_columns(line, "feature", table.features);
  out.write(line + "\n");
  for (int64_t i = 0; i < table.features.size(0); ++i) {
    line = fmt::format("{}", i);
    if (category) {
      const auto target = table.targets[i].item<int64_t>();
      line +=
          fmt::format(",{},{}", target, csv_cell(table.spec.names.at(static_cast<size_t>(target))));
    } else if (table.targets.defined()) {
      add_numbers(line, table.targets[i]);
    }
    if (table.outputs.defined()) {
      add_numbers(line, table.outputs[i]);
    }
    add_numbers(line, table.features[i]);
    out.write(line + "\n");
  }
  out.commit();
}

}  // namespace

std::vector<fs::path> feature_files(const fs::path& to, const FeatureTable& table) {
  const std::string extension = to.extension().string();
  if (extension != ".safetensors" && extension != ".npy" && extension != ".csv") {
    fail_input("--to {}: features are written as .safetensors, .npy or .csv", to.string());
  }
  std::vector<fs::path> files = {to};
  if (extension == ".npy") {
    if (table.targets.defined()) {
      files.push_back(beside(to, "targets"));
    }
    if (table.outputs.defined()) {
      files.push_back(beside(to, "outputs"));
    }
  } else if (extension == ".csv" && table.spec.kind == TargetKind::mask) {
    fail_input("--to {}: targets are masks, which a CSV file cannot hold; choose .safetensors",
               to.string());
  }
  return files;
}

void write_features(const fs::path& to, const FeatureTable& table,
                    const std::map<std::string, std::string>& metadata) {
  const std::string extension = to.extension().string();
  if (extension == ".csv") {
    write_csv(to, table);
  } else if (extension == ".npy") {
    write_npy(to, table.features);
    if (table.targets.defined()) {
      write_npy(beside(to, "targets"), table.targets);
    }
    if (table.outputs.defined()) {
      write_npy(beside(to, "outputs"), table.outputs);
    }
  } else {
    NamedTensors tensors = {{"features", table.features}};
    if (table.targets.defined()) {
      tensors.emplace_back("targets", table.targets);
    }
    if (table.outputs.defined()) {
      tensors.emplace_back("outputs", table.outputs);
    }
    auto notes = metadata;
    if (!table.spec.names.empty()) {
      notes["target_names"] = json_text(nlohmann::json(table.spec.names));
    }
    write_safetensors(to, tensors, notes);
  }
}

}  // namespace bissl::host
