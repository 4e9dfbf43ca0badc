#include "bissl/dataset.h"
#include "bissl/error.h"
#include "bissl/hash.h"
#include "bissl/plugin.h"
#include "bissl/random.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace bissl {
namespace {

struct Options {
  int64_t samples = 256;
  int64_t patterns = 4;
  int64_t size = 16;
  int64_t channels = 1;
  double noise = 0.1;
  int64_t seed = 0;
  std::string split = "train";
  bool labelled = true;
};

/// All pixels are kept in memory, so there is an end to it.
constexpr int64_t largest_set = int64_t{1} << 30;

constexpr double quarter_turn = M_PI / 2.0;

/// The grating that marks a class.
struct Grating {
  double angle = 0.0;   ///< of its wave vector to the x axis, 0 … π/2
  double cycles = 1.0;  ///< waves along the side of the image
};

/// The classes fill a table of ⌈√K⌉ angles, spread evenly over 0 … π/2, and ⌈K / ⌈√K⌉⌉ frequencies,
/// in geometric steps from 1.5 cycles to size / 4. Angles end at π/2, so that no class is the
/// mirror image of another and flips do no harm.
Grating grating_of(int64_t label, const Options& options) {
  const auto angles =
      static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(options.patterns))));
  const int64_t frequencies = (options.patterns + angles - 1) / angles;
  const auto fraction = [](int64_t index, int64_t count) {
    return count == 1 ? 0.0 : static_cast<double>(index) / static_cast<double>(count - 1);
  };
  const double lowest = 1.5;
  const double highest = static_cast<double>(options.size) / 4.0;
  return {quarter_turn * fraction(label % angles, angles),
          lowest * std::pow(highest / lowest, fraction(label / angles, frequencies))};
}

/// Gratings in noise. Sample i has class i mod K and shows, in channel c at pixel (x, y),
///
///     0.5 + 0.4 sin(2π f (x cos θ + y sin θ) / size + φ + c π/4) + noise · n
///
/// cut to [0, 1] and rounded to 8 bits, with θ and f of its class, φ uniform in one turn and n
/// normal, both from the stream (seed, "synthetic/<split>", 0, i).
class Synthetic : public Dataset {
 public:
  explicit Synthetic(const Options& options)
      : options_(options), shape_{options.channels, options.size, options.size} {
    pixels_.reserve(static_cast<size_t>(options.samples * shape_.elements()));
    for (int64_t index = 0; index < options.samples; ++index) {
      draw(index);
    }
    Hasher hasher;
    hasher.update(fmt::format("{} of {} x {} x {}, {} classes\n", options.samples, shape_.height,
                              shape_.width, shape_.channels,
                              options.labelled ? options.patterns : 0));
    fingerprint_ = hasher.update(pixels_.data(), pixels_.size()).hex();
  }

  int64_t size() const override { return options_.samples; }

  Sample get(int64_t index) const override {
    const Target known = target(index);
    return {{shape_, pixels_.data() + index * shape_.elements(), nullptr}, known};
  }

  Target target(int64_t index) const override {
    if (index < 0 || index >= size()) {
      fail_run("sample {} asked for, but there are only 0 to {}", index, size() - 1);
    }
    return {.category = options_.labelled ? index % options_.patterns : -1};
  }

  TargetSpec targets() const override {
    if (!options_.labelled) {
      return {};
    }
    std::vector<std::string> names;
    for (int64_t label = 0; label < options_.patterns; ++label) {
      const Grating grating = grating_of(label, options_);
      names.push_back(fmt::format("{:.0f} degrees, {:.2f} cycles", grating.angle * 180.0 / M_PI,
                                  grating.cycles));
    }
    return TargetSpec::named(TargetKind::category, std::move(names));
  }

  std::string fingerprint() const override { return fingerprint_; }

 private:
  void draw(int64_t index) {
    RandomStream stream(static_cast<uint64_t>(options_.seed), "synthetic/" + options_.split, 0,
                        static_cast<uint64_t>(index));
    const Grating grating = grating_of(index % options_.patterns, options_);
    const double wave = 2.0 * M_PI * grating.cycles / static_cast<double>(options_.size);
    const double across = wave * std::cos(grating.angle);
    const double down = wave * std::sin(grating.angle);
    const double phase = stream.uniform(0.0, 2.0 * M_PI);
    for (int64_t y = 0; y < shape_.height; ++y) {
      for (int64_t x = 0; x < shape_.width; ++x) {
        for (int64_t c = 0; c < shape_.channels; ++c) {
          const double angle = across * static_cast<double>(x) + down * static_cast<double>(y) +
                               phase + static_cast<double>(c) * M_PI / 4.0;
          const double value = 0.5 + 0.4 * std::sin(angle) + options_.noise * stream.normal();
          pixels_.push_back(static_cast<uint8_t>(std::lround(255.0 * std::clamp(value, 0.0, 1.0))));
        }
      }
    }
  }

  Options options_;
  ImageShape shape_;
  std::vector<uint8_t> pixels_;
  std::string fingerprint_;
};

void check(const Options& options, std::vector<Finding>& findings) {
  if (options.channels != 1 && options.channels != 3) {
    findings.push_back(
        {Finding::Severity::error, "channels",
         fmt::format("{} given; accepted are 1 (gray) and 3 (colour)", options.channels)});
  }
  // Within its bounds no product overflows: 10⁷ · 1024² · 3 < 2⁶³.
  const int64_t bytes = options.samples * options.size * options.size * options.channels;
  if (bytes > largest_set) {
    findings.push_back({Finding::Severity::error, "samples",
                        fmt::format("{} samples take {} MiB of memory; at most {} MiB are "
                                    "accepted: take fewer or smaller ones",
                                    options.samples, bytes >> 20, largest_set >> 20)});
  }
  if (options.labelled && options.samples < options.patterns) {
    findings.push_back(
        {Finding::Severity::error, "samples",
         fmt::format("{} samples cannot cover {} classes", options.samples, options.patterns)});
  }
}

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("samples", &Options::samples, "number of images")
      .at_least(1)
      .at_most(10'000'000)
      .unit("images");
  schema.add("patterns", &Options::patterns, "number of classes, which take turns")
      .at_least(2)
      .at_most(64);
  schema.add("size", &Options::size, "height and width of the images")
      .at_least(8)
      .at_most(1024)
      .unit("pixels");
  schema.add("channels", &Options::channels, "1 for gray, 3 for colour").at_least(1).at_most(3);
  schema.add("noise", &Options::noise, "standard deviation of the noise; the range of values is 1")
      .at_least(0)
      .at_most(10);
  schema.add("seed", &Options::seed, "another seed gives other images of the same classes");
  schema.add("split", &Options::split, "train and test hold different images of the same classes")
      .choices({"train", "test"});
  schema.add("labelled", &Options::labelled, "whether the labels are given out");
  schema.rule(check);
  return schema;
}

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("synthetic", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Dataset, Synthetic>(
      {.name = "synthetic",
       .summary = "gratings in noise, one orientation and frequency a class; for quick trials",
       .source = ""},
      schema());
}
