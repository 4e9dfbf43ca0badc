#include "bissl/views.h"

#include "bissl/error.h"

#include <ATen/ops/cat.h>
#include <fmt/ranges.h>

namespace bissl {
namespace {

/// Whether `next` begins in memory where `view` ends, in the same buffer.
bool follows(const at::Tensor& view, const at::Tensor& next) {
  return view.is_contiguous() && next.is_contiguous() && view.has_storage() && next.has_storage() &&
         view.storage().is_alias_of(next.storage()) && view.scalar_type() == next.scalar_type() &&
         next.storage_offset() == view.storage_offset() + view.numel();
}

/// Views `first` … `end` − 1, which have one shape, as one batch.
at::Tensor joined(const Views& views, size_t first, size_t end) {
  bool neighbours = true;
  bool recorded = false;
  for (size_t v = first; v < end; ++v) {
    neighbours = neighbours && (v == first || follows(views[v - 1], views[v]));
    recorded = recorded || views[v].requires_grad();
  }
  const at::Tensor& view = views[first];
  if (end - first == 1) {
    return view;
  }
  if (!neighbours || recorded) {
    const at::ArrayRef<at::Tensor> all = views;
    return at::cat(all.slice(first, end - first));
  }
  std::vector<int64_t> sizes = view.sizes().vec();
  sizes[0] *= static_cast<int64_t>(end - first);
  return view.as_strided(sizes, view.strides(), view.storage_offset());
}

/// Calls work(first, end) for each run of neighbouring views of one shape.
template <class Work>
void for_each_run(const Views& views, const Work& work) {
  for (size_t first = 0, end = 0; first < views.size(); first = end) {
    while (end < views.size() && views[end].sizes() == views[first].sizes()) {
      ++end;
    }
    work(first, end);
  }
}

}  // namespace

at::Tensor joined(const Views& views) {
  for (const at::Tensor& view : views) {
    if (view.sizes() != views[0].sizes()) {
      fail_input("views of the shapes [{}] and [{}] cannot be one batch; give them one size",
                 fmt::join(views[0].sizes(), ", "), fmt::join(view.sizes(), ", "));
    }
  }
  if (views.empty()) {
    fail_run("there are no views to make one batch of");
  }
  return joined(views, 0, views.size());
}

TensorList joined_by_shape(const Views& views) {
  TensorList batches;
  for_each_run(views,
               [&](size_t first, size_t end) { batches.push_back(joined(views, first, end)); });
  return batches;
}

Views converted(const Views& views, const at::TensorOptions& options) {
  // A GPU fetches them in its own time; what the CPU is to read has to be there.
  const bool later = options.has_device() && !options.device().is_cpu();
  Views result;
  for_each_run(views, [&](size_t first, size_t end) {
    const at::Tensor run = joined(views, first, end).to(options, /*non_blocking=*/later);
    const int64_t samples = views[first].size(0);
    for (size_t v = first; v < end; ++v) {
      result.push_back(run.narrow(0, static_cast<int64_t>(v - first) * samples, samples));
    }
  });
  return result;
}

}  // namespace bissl
