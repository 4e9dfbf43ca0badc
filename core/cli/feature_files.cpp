#include "cli/feature_files.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "bissl/error.h"
#include "preview/sheet.h"
#include "store/safetensors.h"

#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

fs::path beside(const fs::path& to, const char* what) {
  return to.parent_path() / (to.stem().string() + "." + what + to.extension().string());
}

/// What comes before the numbers in NumPy's format 1.0: a magic, and a header in Python's spelling.
std::string npy_head(const std::string& type, const std::string& shape) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, shape);
  constexpr size_t before = 10;
  constexpr size_t alignment = 64;
  const size_t whole = (before + header.size() + 1 + alignment - 1) / alignment * alignment;
  header.resize(whole - before - 1, ' ');
  header += '\n';
  const auto length = static_cast<uint16_t>(header.size());
  std::string head("\x93NUMPY\x01\x00", 8);
  head.append(reinterpret_cast<const char*>(&length), sizeof(length));
  return head + header;
}

void write_npy(const fs::path& file, const at::Tensor& tensor) {
  const at::Tensor stored = tensor.contiguous();
  AtomicFile out(file);
  out.write(npy_head(
      stored.scalar_type() == at::kLong ? "<i8" : "<f4",
      fmt::format(
          "{},{}", stored.size(0),
          stored.dim() > 1 ? fmt::format(" {}", fmt::join(stored.sizes().slice(1), ", ")) : "")));
  out.write(stored.data_ptr(), stored.nbytes());
  out.commit();
}

/// The characters of a text in UTF-8; a byte that is not part of one as U+DC00 + byte.
std::u32string characters(const std::string& text) {
  std::u32string found;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 1) {
      found += static_cast<char32_t>(lead);
    } else if (i + length <= text.size() && is_utf8(text.substr(i, length))) {
      char32_t value = lead & (0xffU >> (length + 1));
      for (size_t k = 1; k < length; ++k) {
        value = value << 6 | (static_cast<uint8_t>(text[i + k]) & 0x3fU);
      }
      found += value;
      i += length;
      continue;
    } else {
      found += static_cast<char32_t>(0xdc00U + lead);
    }
    ++i;
  }
  return found;
}

/// Texts of one width, as NumPy has them; shorter ones end in zeros.
void write_npy(const fs::path& file, const std::vector<std::string>& texts) {
  size_t width = 1;
  for (const std::string& text : texts) {
    width = std::max(width, characters(text).size());
  }
  AtomicFile out(file);
  out.write(npy_head(fmt::format("<U{}", width), fmt::format("{},", texts.size())));
  for (const std::string& text : texts) {
    std::u32string cell = characters(text);
    cell.resize(width);
    out.write(cell.data(), width * sizeof(char32_t));
  }
  out.commit();
}

/// All of them in one tensor of bytes, a zero behind each.
at::Tensor bytes_of(const std::vector<std::string>& texts) {
  std::string bytes;
  for (const std::string& text : texts) {
    bytes.append(text.c_str(), std::strlen(text.c_str()) + 1);
  }
  at::Tensor tensor = at::empty({static_cast<int64_t>(bytes.size())}, at::kByte);
  std::copy(bytes.begin(), bytes.end(), tensor.data_ptr<uint8_t>());
  return tensor;
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
  std::string line = "sample,name";
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
    line = fmt::format("{},{}", i, csv_cell(table.names.at(static_cast<size_t>(i))));
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

constexpr const char* projector_file = "projector_config.pbtxt";

fs::path sprite_of(const fs::path& to) {
  return to.parent_path() / (to.stem().string() + ".sprite.png");
}

/// A cell of a table whose columns a tab ends and whose rows a line feed.
std::string tsv_cell(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return text;
}

/// A string of protocol buffers' text format.
std::string quoted_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

std::string metadata_of(const FeatureTable& table) {
  const bool category = table.spec.kind == TargetKind::category && table.targets.defined();
  std::string text = category ? "sample\tname\ttarget\n" : "sample\tname\n";
  for (int64_t i = 0; i < table.features.size(0); ++i) {
    text += fmt::format("{}\t{}", i, tsv_cell(table.names.at(static_cast<size_t>(i))));
    if (category) {
      const auto target = static_cast<size_t>(table.targets[i].item<int64_t>());
      text += "\t" + tsv_cell(table.spec.names.at(target));
    }
    text += '\n';
  }
  return text;
}

/// What TensorBoard's projector reads: `tensorboard --logdir` of the folder shows the features.
void write_projector(const fs::path& to, const FeatureTable& table, const DataView& images) {
  AtomicFile out(to);
  for (int64_t i = 0; i < table.features.size(0); ++i) {
    std::string line;
    add_numbers(line, table.features[i]);
    std::replace(line.begin(), line.end(), ',', '\t');
    out.write(line.substr(1) + "\n");
  }
  out.commit();
  write_file_atomically(beside(to, "metadata"), metadata_of(table));
  std::string config =
      fmt::format("embeddings {{\n  tensor_name: {}\n  tensor_path: {}\n  metadata_path: {}\n",
                  quoted_text(to.stem().string()), quoted_text(to.filename().string()),
                  quoted_text(beside(to, "metadata").filename().string()));
  if (const std::optional<int64_t> side = thumbnail_side(images.size())) {
    write_file_atomically(sprite_of(to), thumbnail_grid(images, *side).png());
    config += fmt::format(
        "  sprite {{\n    image_path: {0}\n    single_image_dim: {1}\n    single_image_dim: {1}\n  "
        "}}\n",
        quoted_text(sprite_of(to).filename().string()), *side);
  }
  write_file_atomically(to.parent_path() / projector_file, config + "}\n");
}

}  // namespace

std::vector<fs::path> feature_files(const fs::path& to, const FeatureTable& table) {
  const std::string extension = to.extension().string();
  if (extension != ".safetensors" && extension != ".npy" && extension != ".csv" &&
      extension != ".tsv") {
    fail_input("--to {}: features are written as .safetensors, .npy, .csv or .tsv", to.string());
  }
  std::vector<fs::path> files = {to};
  if (extension == ".tsv") {
    files.push_back(beside(to, "metadata"));
    files.push_back(to.parent_path() / projector_file);
    if (table.features.defined() && thumbnail_side(table.features.size(0))) {
      files.push_back(sprite_of(to));
    }
  }
  if (extension == ".npy") {
    files.push_back(beside(to, "names"));
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
                    const std::map<std::string, std::string>& metadata, const DataView& images) {
  const std::string extension = to.extension().string();
  if (extension == ".tsv") {
    write_projector(to, table, images);
    return;
  }
  if (extension == ".csv") {
    write_csv(to, table);
  } else if (extension == ".npy") {
    write_npy(to, table.features);
    write_npy(beside(to, "names"), table.names);
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
    tensors.emplace_back("sample_names", bytes_of(table.names));
    auto notes = metadata;
    if (!table.spec.names.empty()) {
      notes["target_names"] = json_text(nlohmann::json(table.spec.names));
    }
    write_safetensors(to, tensors, notes);
  }
}

}  // namespace bissl::host
