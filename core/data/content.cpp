#include "data/content.h"

#include "bissl/hash.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <string_view>

namespace bissl::host {
namespace {

bool is_one_value(const Image& image) {
  // Every byte equals the one a pixel further on.
  const int64_t bytes = image.bytes();
  const int64_t pixel = bytes / (image.shape.height * image.shape.width);
  return bytes > pixel &&
         std::memcmp(image.pixels, image.pixels + pixel, static_cast<size_t>(bytes - pixel)) == 0;
}

uint64_t hash_of(const Image& image) {
  const auto shape = static_cast<uint64_t>(image.shape.channels) << 62 ^
                     static_cast<uint64_t>(image.shape.height) << 31 ^
                     static_cast<uint64_t>(image.shape.width);
  return hash64({reinterpret_cast<const char*>(image.pixels), static_cast<size_t>(image.bytes())},
                shape);
}

void add_categories(const Image& mask, std::bitset<256>& categories) {
  for (int64_t i = 0; i < mask.bytes(); ++i) {
    categories.set(mask.pixels[i]);
  }
}

/// A step through 0 … size − 1 that reaches each place once and spreads the first few evenly.
int64_t stride_for(int64_t size) {
  auto stride = std::max<int64_t>(1, static_cast<int64_t>(0.618034 * static_cast<double>(size)));
  while (std::gcd(stride, size) != 1) {
    ++stride;
  }
  return stride;
}

}  // namespace

DataContent content_of(const DataView& data, const ContentLimits& limits) {
  const auto begin = std::chrono::steady_clock::now();
  const auto late = [&] {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return passed.count() > limits.seconds;
  };
  DataContent content;
  content.samples = data.size();
  const int64_t most = std::min(limits.samples, content.samples);
  content.hashes.reserve(static_cast<size_t>(most));
  const int64_t stride = stride_for(content.samples);
  constexpr int64_t between_looks_at_the_clock = 64;
  int64_t index = 0;
  for (int64_t i = 0; i < most; ++i) {
    if (i % between_looks_at_the_clock == between_looks_at_the_clock - 1 && late()) {
      break;
    }
    const Sample sample = data.get(index);
    content.one_value += is_one_value(sample.image) ? 1 : 0;
    content.hashes.push_back(hash_of(sample.image));
    if (data.targets().kind == TargetKind::mask) {
      add_categories(sample.target.mask, content.mask_categories);
    }
    ++content.looked_at;
    index = (index + stride) % content.samples;
  }
  content.mask_categories.reset(not_counted_pixel);
  std::sort(content.hashes.begin(), content.hashes.end());
  content.hashes.erase(std::unique(content.hashes.begin(), content.hashes.end()),
                       content.hashes.end());
  content.distinct = static_cast<int64_t>(content.hashes.size());
  return content;
}

int64_t shared_images(const DataContent& left, const DataContent& right) {
  std::vector<uint64_t> shared;
  std::set_intersection(left.hashes.begin(), left.hashes.end(), right.hashes.begin(),
                        right.hashes.end(), std::back_inserter(shared));
  return static_cast<int64_t>(shared.size());
}

std::vector<int64_t> samples_by_class(const DataView& data) {
  const TargetSpec& spec = data.targets();
  if (spec.kind != TargetKind::category && spec.kind != TargetKind::multi_label) {
    return {};
  }
  std::vector<int64_t> counts(spec.names.size());
  for (int64_t i = 0; i < data.size(); ++i) {
    add_to_counts(spec, data.target(i), counts);
  }
  return counts;
}

std::vector<size_t> constant_targets(const DataView& data) {
  const TargetSpec& spec = data.targets();
  const bool are_labels = spec.kind == TargetKind::multi_label;
  if (!are_labels && spec.kind != TargetKind::values) {
    return {};
  }
  std::vector<float> first(static_cast<size_t>(spec.width),
                           std::numeric_limits<float>::quiet_NaN());
  std::vector<bool> varies(first.size(), false);
  for (int64_t i = 0; i < data.size(); ++i) {
    const std::vector<float> values = data.target(i).values;
    for (size_t k = 0; k < first.size(); ++k) {
      if (std::isnan(first[k])) {
        first[k] = values[k];
      } else if (!std::isnan(values[k]) && values[k] != first[k]) {
        varies[k] = true;
      }
    }
  }
  std::vector<size_t> constant;
  for (size_t k = 0; k < first.size(); ++k) {
    if (!varies[k] && (are_labels ? first[k] == 1.0F : !std::isnan(first[k]))) {
      constant.push_back(k);
    }
  }
  return constant;
}

}  // namespace bissl::host
