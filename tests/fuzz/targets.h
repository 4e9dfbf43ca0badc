#pragma once

#include <functional>
#include <string_view>
#include <vector>

namespace bissl::host::test {

/// A reader of files that nobody vouches for. `run` puts the bytes before it; whatever they are, it
/// returns: Error(input) is the reader's right answer to a wrong file and is caught inside, and
/// every other exception, crash or broken promise is a finding.
struct FuzzTarget {
  const char* name;  ///< also of its folder below corpus/
  void (*run)(std::string_view bytes);
};

/// A pipeline's TOML; what is accepted must be read back equal from its lock file.
void fuzz_toml(std::string_view bytes);
/// An ablation's TOML.
void fuzz_ablation(std::string_view bytes);
/// plan.json of a sweep; what is accepted can be walked through and written again.
void fuzz_plan(std::string_view bytes);
/// Weights and checkpoints.
void fuzz_safetensors(std::string_view bytes);
/// A pickle of torch.save.
void fuzz_pickle(std::string_view bytes);
/// A file of weights: an archive or the older format of torch.save, or safetensors.
void fuzz_weights(std::string_view bytes);
/// Images and labels laid out like MNIST's, compressed or not.
void fuzz_idx(std::string_view bytes);
/// Image files, by a target for each format.
void fuzz_bmp(std::string_view bytes);
void fuzz_gif(std::string_view bytes);
void fuzz_jpeg(std::string_view bytes);
void fuzz_png(std::string_view bytes);
void fuzz_pnm(std::string_view bytes);
void fuzz_tiff(std::string_view bytes);
void fuzz_webp(std::string_view bytes);
/// A list of images with labels, as CSV.
void fuzz_image_list(std::string_view bytes);
/// stage.json of the store.
void fuzz_stage_record(std::string_view bytes);
/// events.jsonl of a stage, as reports read it.
void fuzz_event_log(std::string_view bytes);
/// Shards of tar files.
void fuzz_tar(std::string_view bytes);
/// The samples of a shard of tar files, compressed or not: keys, images, labels.
void fuzz_shards(std::string_view bytes);
/// Lists of images with classes, labels or masks, as the datasets of image-layouts have them.
void fuzz_layout_lists(std::string_view bytes);
/// A mask beside its image.
void fuzz_mask(std::string_view bytes);
/// CIFAR's Python batches.
void fuzz_cifar_pickle(std::string_view bytes);
/// CIFAR's binary batches and the names of their classes.
void fuzz_cifar_binary(std::string_view bytes);
/// STL-10's labels, names, folds and pixels.
void fuzz_stl10(std::string_view bytes);
/// Compressed shards.
void fuzz_gzip(std::string_view bytes);
/// Files of the cache of decoded pixels.
void fuzz_pixel_file(std::string_view bytes);
/// Annotations in MAT-files.
void fuzz_mat(std::string_view bytes);

const std::vector<FuzzTarget>& fuzz_targets();

/// Calls `read` and lets it refuse its input by Error(input).
void refusing(const std::function<void()>& read);

/// Ends the process with the text on standard error unless `kept`.
void promise(bool kept, const char* text);

}  // namespace bissl::host::test
