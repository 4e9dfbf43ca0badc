#include "telemetry/environment.h"

#include "base/posix_file.h"
#include "bissl/error.h"
#include "bissl/hash.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <sched.h>
#include <sys/utsname.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;

/// A function of a library that the program may or may not have loaded.
template <class Function>
Function* find_function(const char* name, void* library = RTLD_DEFAULT) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

/// The file that holds a function, with all links on the way to it resolved.
std::string file_of(void* function) {
  Dl_info info{};
  if (function == nullptr || dladdr(function, &info) == 0 || info.dli_fname == nullptr) {
    return "";
  }
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(info.dli_fname, error);
  return error ? info.dli_fname : file.string();
}

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  const size_t end = text.find_last_not_of(" \t\r\n");
  return begin == std::string_view::npos ? "" : std::string(text.substr(begin, end - begin + 1));
}

std::string checksum_of_program() {
  constexpr uint64_t most_bytes = uint64_t{1} << 30;
  try {
    return hash_hex(read_whole(std::filesystem::read_symlink("/proc/self/exe"), most_bytes));
  } catch (const std::exception&) {
    return "";  // the file was replaced while the program ran
  }
}

json program() {
  static const std::string checksum = checksum_of_program();
  json found = {{"version", BISSL_VERSION}};
  if (!checksum.empty()) {
    found["checksum"] = checksum;
  }
  return found;
}

/// Model and driver of a CUDA device, from the driver that LibTorch has loaded. LibTorch's own
/// interface to them needs CUDA's headers, which a LibTorch without CUDA does not have.
void add_cuda_device(json& found, const c10::Device& device) {
  void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  if (driver == nullptr) {
    return;
  }
  const auto get = find_function<int(int*, int)>("cuDeviceGet", driver);
  const auto name_of = find_function<int(char*, int, int)>("cuDeviceGetName", driver);
  const auto attribute_of = find_function<int(int*, int, int)>("cuDeviceGetAttribute", driver);
  const auto version_of = find_function<int(int*)>("cuDriverGetVersion", driver);
  int handle = 0;
  if (get != nullptr && get(&handle, device.has_index() ? device.index() : 0) == 0) {
    std::array<char, 256> name{};
    if (name_of != nullptr &&
        name_of(name.data(), static_cast<int>(name.size()) - 1, handle) == 0) {
      found["model"] = name.data();
    }
    constexpr int capability_major = 75;  // of the driver's attributes
    constexpr int capability_minor = 76;
    int major = 0;
    int minor = 0;
    if (attribute_of != nullptr && attribute_of(&major, capability_major, handle) == 0 &&
        attribute_of(&minor, capability_minor, handle) == 0) {
      found["compute_capability"] = fmt::format("{}.{}", major, minor);
    }
  }
  int version = 0;
  if (version_of != nullptr && version_of(&version) == 0) {
    found["driver"] = fmt::format("CUDA {}.{}", version / 1000, version % 1000 / 10);
  }
  dlclose(driver);
}

json device_of(const c10::Device& device) {
  json found = {{"name", device.str()}};
  if (device.is_cuda()) {
    add_cuda_device(found, device);
  }
  return found;
}

const char* text_of(at::Float32MatmulPrecision precision) {
  switch (precision) {
    case at::Float32MatmulPrecision::HIGHEST:
      return "highest";
    case at::Float32MatmulPrecision::HIGH:
      return "high";
    default:
      return "medium";
  }
}

json precision(const c10::Device& device) {
  const at::Context& context = at::globalContext();
  json found = {{"parameters", "float32"},
                {"matrix_products", text_of(context.float32MatmulPrecision())},
                {"mkldnn", context.userEnabledMkldnn()},
                {"deterministic_algorithms", context.deterministicAlgorithms()}};
  if (device.is_cuda()) {
    found["tf32_matrix_products"] = context.allowTF32CuBLAS();
    found["tf32_convolutions"] = context.allowTF32CuDNN();
    found["cudnn_benchmark"] = context.benchmarkCuDNN();
    found["cudnn_deterministic"] = context.deterministicCuDNN();
  }
  return found;
}

/// The library behind LibTorch's matrix products. Which one that is can be found only from what is
/// loaded: a distribution exchanges libblas.so.3 under a LibTorch that knows nothing of it.
json blas() {
  json found = json::object();
  void* function = dlsym(RTLD_DEFAULT, "sgemm_");
  if (const auto config = find_function<char*()>("openblas_get_config")) {
    found["library"] = "OpenBLAS";
    found["build"] = trimmed(config());
    function = reinterpret_cast<void*>(config);
    if (const auto kernel = find_function<char*()>("openblas_get_corename")) {
      found["kernel"] = kernel();
    }
    if (const auto threads = find_function<int()>("openblas_get_num_threads")) {
      found["threads"] = threads();
    }
  } else if (at::hasMKL()) {
    found["library"] = "MKL";
    found["build"] = trimmed(at::get_mkl_version());
  } else if (const auto version = find_function<const char*()>("bli_info_get_version_str")) {
    found["library"] = "BLIS";
    found["build"] = version();
  }
  if (const std::string file = file_of(function); !file.empty()) {
    found["file"] = file;
  }
  return found;
}

/// "model name" of x86, or what other architectures have instead of it.
std::string cpu_model() {
  std::ifstream stream("/proc/cpuinfo");
  std::string parts;
  for (std::string line; std::getline(stream, line) && !line.empty();) {
    const size_t colon = line.find(':');
    const std::string key = trimmed(line.substr(0, colon));
    const std::string value = colon == std::string::npos ? "" : trimmed(line.substr(colon + 1));
    if (key == "model name" || key == "cpu model" || key == "cpu") {
      return value;
    }
    if (key == "CPU implementer" || key == "CPU part" || key == "CPU variant") {
      parts += (parts.empty() ? "" : ", ") + key + " " + value;
    }
  }
  utsname system{};
  return !parts.empty() || uname(&system) != 0 ? parts : system.machine;
}

/// The lines of LibTorch's description of itself, "- KEY: VALUE", without its first one.
std::vector<std::string> libtorch_lines() {
  std::vector<std::string> lines;
  std::istringstream stream(at::show_config());
  for (std::string line; std::getline(stream, line);) {
    if (const size_t dash = line.find("- "); dash != std::string::npos) {
      lines.push_back(trimmed(line.substr(dash + 2)));
    }
  }
  return lines;
}

constexpr std::string_view capability_line = "CPU capability usage: ";
constexpr std::string_view settings_line = "Build settings: ";

json cpu() {
  json found = {{"model", cpu_model()}, {"processors", std::thread::hardware_concurrency()}};
  for (const std::string& line : libtorch_lines()) {
    if (line.starts_with(capability_line)) {
      found["capability"] = line.substr(capability_line.size());
    }
  }
  return found;
}

json libtorch() {
  json found = {{"version", TORCH_VERSION}};
  std::string parts;
  for (const std::string& line : libtorch_lines()) {
    if (line.starts_with(settings_line)) {
      // Thousands of characters, of which nobody wants to see more than whether they differ.
      found["settings_checksum"] = hash_hex(line).substr(0, 16);
    } else if (!line.starts_with(capability_line)) {
      parts += (parts.empty() ? "" : "; ") + line;
    }
  }
  found["build"] = parts;
  return found;
}

json variables() {
  json found = json::object();
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    const std::string name(text.substr(0, equals));
    if (equals != std::string_view::npos && is_recorded_variable(name)) {
      found[name] = text.substr(equals + 1);
    }
  }
  return found;
}

std::string text_at(const json& environment, const char* group, const char* key) {
  const json* const place =
      environment.is_object() && environment.contains(group) ? &environment.at(group) : nullptr;
  if (place == nullptr || !place->is_object() || !place->contains(key)) {
    return "";
  }
  const json& value = place->at(key);
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

bool is_recorded_variable(const std::string& name) {
  static const std::vector<std::string> prefixes = {
      "OMP_",    "GOMP_", "KMP_",   "OPENBLAS_", "GOTO_", "BLIS_",   "MKL_",   "DNNL_",
      "ONEDNN_", "ATEN_", "TORCH_", "PYTORCH_",  "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_"};
  static const std::vector<std::string> names = {"GLIBC_TUNABLES", "LD_PRELOAD"};
  return std::find(names.begin(), names.end(), name) != names.end() ||
         std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); });
}

json computing_environment(const c10::Device& device, int loader_threads) {
  return {{"bissl", program()},
          {"threads",
           {{"compute", at::get_num_threads()},
            {"interop", at::get_num_interop_threads()},
            {"loader", loader_threads}}},
          {"device", device_of(device)},
          {"precision", precision(device)},
          {"blas", blas()},
          {"cpu", cpu()},
          {"libtorch", libtorch()},
          {"libc", gnu_get_libc_version()},
          {"variables", variables()}};
}

std::string environment_summary(const json& environment) {
  std::string summary;
  const auto add = [&](const std::string& text) {
    summary += text.empty() ? "" : (summary.empty() ? "" : ", ") + text;
  };
  const std::string threads = text_at(environment, "threads", "compute");
  add(threads.empty() ? "" : threads + (threads == "1" ? " thread" : " threads"));
  const std::string model = text_at(environment, "device", "model");
  add(text_at(environment, "device", "name") + (model.empty() ? "" : " (" + model + ")"));
  const std::string kernel = text_at(environment, "blas", "kernel");
  add(text_at(environment, "blas", "library") + (kernel.empty() ? "" : " " + kernel));
  add(text_at(environment, "cpu", "capability"));
  const std::string version = text_at(environment, "libtorch", "version");
  add(version.empty() ? "" : "LibTorch " + version);
  return summary;
}

}  // namespace bissl::host
