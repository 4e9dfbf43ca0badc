// Times the analysis of features, and writes what scikit-learn is compared with:
//
//     analysis_bench FOLDER [ROWS WIDTH [PICTURE_ROWS]]
//
// FOLDER gets features.f32 (ROWS × WIDTH, row by row), knn.i64 (ROWS × 20, the neighbours of each
// row) and tsne.f64 and umap.f64 (PICTURE_ROWS × 2). Prints a JSON object of pairs: seconds of wall
// time and of processor time of all threads; knn_bytes is what the search's peak adds to the memory
// of the process. tests/bench/analysis.py calls it.

#include "analysis/embedding.h"
#include "analysis/neighbours.h"
#include "analysis/similarity.h"
#include "analysis/spectrum.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

/// Ten heaps in `width` dimensions, float, without random numbers.
at::Tensor heaps(int64_t rows, int64_t width) {
  const auto noise = [](double offset, int64_t height, int64_t across) {
    const at::Tensor i = at::arange(height * across, at::kDouble).add(offset);
    return i.mul(0.37).sin().mul(43758.5453).frac().view({height, across});
  };
  const at::Tensor centres = noise(1e7, 10, width);
  const at::Tensor of_row = at::arange(rows, at::kLong).remainder(10);
  return noise(0, rows, width).add(centres.index_select(0, of_row)).to(at::kFloat).contiguous();
}

struct Seconds {
  double wall = 0;
  double processor = 0;  ///< of all threads
};

Seconds seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t ticks = std::clock();
  work();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
          static_cast<double>(std::clock() - ticks) / CLOCKS_PER_SEC};
}

void write_raw(const std::filesystem::path& file, const void* data, size_t bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
}

/// The largest memory of the process so far, in bytes.
int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

void write_places(const std::filesystem::path& file,
                  const std::vector<std::vector<Neighbour>>& nearest) {
  std::vector<int64_t> places;
  for (const std::vector<Neighbour>& of_row : nearest) {
    for (const auto& [nearness, place] : of_row) {
      places.push_back(place);
    }
  }
  write_raw(file, places.data(), places.size() * sizeof(int64_t));
}

int run(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "analysis_bench FOLDER [ROWS WIDTH [PICTURE_ROWS]]\n";
    return 2;
  }
  const std::filesystem::path folder = arguments[1];
  const int64_t rows = count > 3 ? std::atoll(arguments[2]) : 10000;
  const int64_t width = count > 3 ? std::atoll(arguments[3]) : 512;
  const int64_t picture_rows = count > 4 ? std::atoll(arguments[4]) : 5000;
  const at::Tensor features = heaps(rows, width);
  write_raw(folder / "features.f32", features.data_ptr<float>(),
            static_cast<size_t>(features.numel()) * sizeof(float));
  const at::Tensor other = at::matmul(features, heaps(width, width));
  const at::Tensor unit = unit_rows(features);
  std::printf("{\"threads\": %d", at::get_num_threads());
  const auto time = [](const char* name, const std::function<void()>& work) {
    const Seconds seconds = seconds_of(work);
    std::printf(", \"%s\": [%.3f, %.3f]", name, seconds.wall, seconds.processor);
    std::fflush(stdout);
  };
  std::vector<std::vector<Neighbour>> nearest;
  const int64_t before = peak_bytes();
  time("knn", [&] { nearest = nearest_rows(unit, unit, {20, Nearness::product, true}); });
  std::printf(", \"knn_bytes\": %lld", static_cast<long long>(peak_bytes() - before));
  write_places(folder / "knn.i64", nearest);
  time("rankme", [&] { rankme(features); });
  time("cka", [&] { linear_cka(features, other); });
  time("pca", [&] { principal_components(features, 2); });
  if (picture_rows > 0) {
    const at::Tensor few = features.narrow(0, 0, picture_rows);
    const auto write = [&](const char* name, const at::Tensor& points) {
      write_raw(folder / name, points.data_ptr<double>(),
                static_cast<size_t>(points.numel()) * sizeof(double));
    };
    at::Tensor points;
    // With trees, as scikit-learn's is unless it is asked for another.
    time("tsne", [&] { points = tsne(few, {.theta = 0.5}); });
    write("tsne.f64", points);
    time("umap", [&] { points = umap(few, {}); });
    write("umap.f64", points);
  }
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace bissl::host

int main(int count, char** arguments) { return bissl::host::run(count, arguments); }
