#include "preview/statistics.h"

#include "data/content.h"

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

/// Sums of one channel's bytes; whole numbers, so that no order of adding matters.
struct Sums {
  uint64_t count = 0;
  uint64_t values = 0;
  uint64_t squares = 0;
};

void add(const Image& image, std::vector<Sums>& sums) {
  const auto channels = static_cast<size_t>(image.shape.channels);
  sums.resize(std::max(sums.size(), channels));
  const int64_t area = image.shape.height * image.shape.width;
  for (int64_t i = 0; i < area; ++i) {
    for (size_t channel = 0; channel < channels; ++channel) {
      // Of 16 bits the nearest of 8, so that sums of any data stay whole.
      const size_t place = static_cast<size_t>(i) * channels + channel;
      const uint64_t value = image.type == PixelType::uint16 ? (image.pixels16()[place] + 128) / 257
                                                             : image.pixels[place];
      sums[channel].values += value;
      sums[channel].squares += value * value;
    }
  }
  for (size_t channel = 0; channel < channels; ++channel) {
    sums[channel].count += static_cast<uint64_t>(area);
  }
}

}  // namespace

DataStatistics statistics_of(const DataView& data, int64_t most) {
  constexpr double white = 255;
  DataStatistics found;
  found.samples = data.size();
  found.looked_at = std::min(most, data.size());
  std::vector<Sums> sums;
  for (int64_t i = 0; i < found.looked_at; ++i) {
    const Image image = data.get(i * data.size() / found.looked_at).image;
    const ImageShape& shape = image.shape;
    found.least_height = i == 0 ? shape.height : std::min(found.least_height, shape.height);
    found.least_width = i == 0 ? shape.width : std::min(found.least_width, shape.width);
    found.most_height = std::max(found.most_height, shape.height);
    found.most_width = std::max(found.most_width, shape.width);
    found.channels.insert(shape.channels);
    add(image, sums);
  }
  if (found.channels.size() == 1) {
    for (const Sums& channel : sums) {
      const double mean = double(channel.values) / double(channel.count);
      const double variance = double(channel.squares) / double(channel.count) - mean * mean;
      found.mean.push_back(mean / white);
      found.std.push_back(std::sqrt(std::max(0.0, variance)) / white);
    }
  }
  found.class_counts = samples_by_class(data);
  if (!found.class_counts.empty()) {
    found.classes = data.targets().names;
  }
  return found;
}

}  // namespace bissl::host
