#include "stages/precision.h"

#include "bissl/error.h"

#include <variant>

namespace bissl::host {
namespace {

/// Single precision where the stage has no such key.
Precision precision_in(const Table& table, const char* key) {
  const auto found = table.values.find(key);
  const auto* text =
      found == table.values.end() ? nullptr : std::get_if<std::string>(&found->second);
  return text == nullptr ? Precision::fp32 : precision_named(*text);
}

Precision precision_of_steps(const StageContext& context) {
  const Precision precision = precision_in(context.stage.table, precision_key);
  if (precision == Precision::fp16 && context.settings.device.is_cpu()) {
    fail_input(
        "precision = \"fp16\": this run computes on the CPU, where LibTorch computes in bf16 and "
        "single precision. Choose precision = \"bf16\" or \"fp32\", or a GPU by --device cuda");
  }
  return precision;
}

/// Whether LibTorch computes bfloat16 by vector instructions here; elsewhere it takes loops that
/// are not made for speed.
bool is_bfloat16_vectorised() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq");
#else
  return true;  // not known, so nothing is said
#endif
}

}  // namespace

std::vector<std::string> precision_doubts(const StageContext& context) {
  if (!context.settings.device.is_cpu() || is_bfloat16_vectorised()) {
    return {};
  }
  std::vector<std::string> found;
  for (const char* key : {precision_key, hypergradient_precision_key}) {
    if (precision_in(context.stage.table, key) == Precision::bf16) {
      found.push_back(std::string(key) +
                      " = \"bf16\": this processor has no AVX-512, without which LibTorch computes "
                      "bfloat16 several times more slowly than single precision. On this machine "
                      "\"fp32\" is faster");
    }
  }
  return found;
}

void mark_precision(TableSpec& spec) {
  for (ParameterSpec& one : spec.parameters) {
    if (one.name == precision_key || one.name == hypergradient_precision_key) {
      one.traits[default_is_absence] = true;
    }
  }
}

StagePrecision::StagePrecision(const StageContext& context)
    : scope_(precision_of_steps(context),
             precision_in(context.stage.table, hypergradient_precision_key)) {}

}  // namespace bissl::host
