#include "preview/throughput.h"

#include "base/posix_file.h"
#include "bissl/random.h"
#include "data/batches.h"
#include "data/chain.h"
#include "data/guarded_augmentation.h"
#include "data/guarded_dataset.h"
#include "data/view_maker.h"

#include <fmt/format.h>

#include <time.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t seed = 0;
/// Samples whose images are kept to measure what comes after reading.
constexpr int64_t most_kept = 256;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Processor time that this thread has taken, in seconds: other programs on the same cores do not
/// make it longer, and waiting for a disk does not count.
double processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

/// What asking for the time takes: as much as a small transform of a small image.
double time_of_asking() {
  constexpr int calls = 1000;
  double least = 1;
  double last = processor_time();
  for (int i = 0; i < calls; ++i) {
    const double now = processor_time();
    least = std::min(least, now - last);
    last = now;
  }
  return least;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Repeats `round`, which returns the processor time of each of its parts, until the time is over,
/// three times at least after one that does not count; the median of each part.
std::vector<double> medians(double seconds,
                            const std::function<std::vector<double>(int64_t)>& round) {
  constexpr int64_t fewest = 3;
  std::vector<std::vector<double>> rounds;
  round(0);
  const Clock::time_point start = Clock::now();
  for (int64_t number = 1; number <= fewest || seconds_since(start) < seconds; ++number) {
    rounds.push_back(round(number));
  }
  std::vector<double> found;
  for (size_t part = 0; part < rounds.front().size(); ++part) {
    std::vector<double> values;
    for (const std::vector<double>& one : rounds) {
      values.push_back(one[part]);
    }
    found.push_back(median(std::move(values)));
  }
  return found;
}

/// Samples in a random order, some at a time.
class RandomSamples {
 public:
  explicit RandomSamples(const DataView& data) : data_(data) {
    RandomStream stream(seed, "throughput");
    order_ = permutation(stream, data.size());
  }

  int64_t at_a_time() const { return std::min(most_kept, data_.size()); }
  std::vector<Sample> get(int64_t round) const {
    std::vector<Sample> samples;
    for (int64_t i = 0; i < at_a_time(); ++i) {
      const int64_t place = (round * at_a_time() + i) % data_.size();
      samples.push_back(data_.get(order_[static_cast<size_t>(place)]));
    }
    return samples;
  }
  /// The numbers in the whole dataset of those that come first.
  std::vector<int64_t> first_places() const {
    std::vector<int64_t> places;
    for (int64_t i = 0; i < at_a_time(); ++i) {
      places.push_back(data_.place(order_[static_cast<size_t>(i)]));
    }
    return places;
  }

 private:
  const DataView& data_;
  std::vector<int64_t> order_;
};

/// The seconds that the bytes of an image's file take; none where images have no files of their
/// own.
std::optional<double> seconds_of_reading(const Dataset& component, const RandomSamples& random,
                                         double seconds) {
  constexpr uint64_t largest_file = uint64_t{1} << 30;  // as datasets of image files have it
  const std::vector<std::string> files = sample_files_of(component, random.first_places());
  if (files.empty()) {
    return std::nullopt;
  }
  const double all = medians(seconds, [&](int64_t /*round*/) {
    const double start = processor_time();
    for (const std::string& file : files) {
      read_whole(file, largest_file);
    }
    return std::vector<double>{processor_time() - start};
  })[0];
  return all / double(files.size());
}

/// The seconds of a view by the steps of a chain; one number for an augmentation.
std::vector<double> seconds_of_group(const AugmentChoice& choice, int64_t view,
                                     const std::vector<Sample>& samples, double seconds) {
  std::vector<double> spent(choice.steps.size(), 0.0);
  const double asking = time_of_asking();
  double last = 0;
  const auto after_step = [&](size_t step) {
    const double now = processor_time();
    spent[step] += std::max(0.0, now - last - asking);
    last = now;
  };
  const std::shared_ptr<const Augmentation> augmentation =
      choice.is_chain ? make_chain(choice.steps, after_step)
                      : create_guarded_augmentation(choice.steps.front());
  std::vector<float> room;
  return medians(seconds, [&](int64_t round) {
    std::fill(spent.begin(), spent.end(), 0.0);
    for (size_t i = 0; i < samples.size(); ++i) {
      const Image& image = samples[i].image;
      room.resize(static_cast<size_t>(augmentation->view_shape(image.shape, view).elements()));
      RandomStream stream(seed, "throughput/views", static_cast<uint64_t>(round), i,
                          static_cast<uint64_t>(view));
      last = processor_time();
      augmentation->apply(image, view, stream, room);
      if (!choice.is_chain) {
        after_step(0);
      }
    }
    std::vector<double> each;
    for (const double all : spent) {
      each.push_back(all / double(samples.size()));
    }
    return each;
  });
}

double seconds_of_batch(const ViewRecipe& recipe, const std::shared_ptr<const DataView>& data,
                        int64_t batch, double seconds) {
  const BatchSource source(data, make_augmentation(*recipe.choice), recipe.choice->describe(),
                           {.batch = batch, .views = recipe.views, .purpose = "throughput"});
  return medians(seconds, [&](int64_t round) {
    const double start = processor_time();
    source.make(round);
    return std::vector<double>{processor_time() - start};
  })[0];
}

}  // namespace

DataCost cost_of_views(const ViewRecipe& recipe, DataCatalog& data, double seconds,
                       const Dataset* component) {
  const std::shared_ptr<const DataView> source = data.open(recipe.data);
  const RandomSamples random(*source);
  DataCost cost;
  if (component != nullptr) {
    if (const auto bytes = seconds_of_reading(*component, random, seconds)) {
      cost.parts.push_back({"read", "image", *bytes});
    }
  }
  const double reading = medians(seconds, [&](int64_t round) {
    const double start = processor_time();
    random.get(round);
    return std::vector<double>{processor_time() - start};
  })[0];
  cost.parts.push_back({"read and decode", "image", reading / double(random.at_a_time())});

  const std::vector<Sample> kept = random.get(0);
  int64_t view = 0;
  for (size_t i = 0; i < recipe.choice->groups.size(); ++i) {
    const ViewGroup& group = recipe.choice->groups[i];
    const std::string prefix =
        recipe.choice->groups.size() == 1 ? "" : fmt::format("views[{}]: ", i);
    const std::vector<double> steps = seconds_of_group(group.augment, view, kept, seconds);
    for (size_t step = 0; step < steps.size(); ++step) {
      cost.parts.push_back(
          {prefix + group.augment.steps[step].component->info.text.name, "view", steps[step]});
    }
    view += group.count;
  }
  cost.samples_of_batch = std::min(recipe.batch, most_kept);
  cost.seconds_of_sample = seconds_of_batch(recipe, source, cost.samples_of_batch, seconds) /
                           double(cost.samples_of_batch);
  return cost;
}

}  // namespace bissl::host
