// The trees of datasets that keep their images in a few files.

#include "dataset_trees.h"
#include "file_writers.h"
#include "joined_lines.h"
#include "support/temporary_folder.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

constexpr int cifar_images = 2;

std::string cifar_pixels(int batch, int image) {
  std::string pixels;
  for (int j = 0; j < 3072; ++j) {
    pixels += static_cast<char>(image + 2 * batch + 7 * j);
  }
  return pixels;
}

/// Calls `write(name, batch)` for the six batches.
template <class Write>
void for_batches(Write write) {
  for (int batch = 0; batch < 6; ++batch) {
    write(batch < 5 ? "data_batch_" + std::to_string(batch + 1) : std::string("test_batch"), batch);
  }
}

std::vector<std::string> pickled_texts(const std::vector<std::string>& texts) {
  std::vector<std::string> items;
  for (const std::string& text : texts) {
    items.push_back(pickled::bytes(text));
  }
  return items;
}

const std::vector<std::string> cifar10_names{"airplane", "automobile", "bird",  "cat",  "deer",
                                             "dog",      "frog",       "horse", "ship", "truck"};
const std::vector<std::string> fine_names{"apple", "aquarium_fish", "baby", "bear", "beaver"};
const std::vector<std::string> coarse_names{"aquatic_mammals", "fish"};

}  // namespace

void make_cifar10_binary(const fs::path& root) {
  const fs::path base = root / "cifar-10-batches-bin";
  write_file(base / "batches.meta.txt", joined(cifar10_names) + "\n");
  for_batches([&](const std::string& name, int batch) {
    std::string content;
    for (int i = 0; i < cifar_images; ++i) {
      content += static_cast<char>(i + batch) + cifar_pixels(batch, i);
    }
    write_file(base / (name + ".bin"), content);
  });
}

void make_cifar10_python(const fs::path& root) {
  const fs::path base = root / "cifar-10-batches-py";
  write_file(
      base / "batches.meta",
      pickled::file(pickled::dict({{"num_vis", pickled::integer(3072)},
                                   {"label_names", pickled::list(pickled_texts(cifar10_names))}})));
  for_batches([&](const std::string& name, int batch) {
    std::string content;
    std::vector<std::string> labels;
    for (int i = 0; i < cifar_images; ++i) {
      content += cifar_pixels(batch, i);
      labels.push_back(pickled::integer(i + batch));
    }
    write_file(base / name,
               pickled::file(pickled::dict({{"batch_label", pickled::bytes(name)},
                                            {"labels", pickled::list(labels)},
                                            {"data", pickled::array(cifar_images, 3072, content)},
                                            {"filenames", pickled::list({})}})));
  });
}

void make_cifar100_binary(const fs::path& root) {
  const fs::path base = root / "cifar-100-binary";
  write_file(base / "fine_label_names.txt", joined(fine_names));
  write_file(base / "coarse_label_names.txt", joined(coarse_names));
  for (const int batch : {0, 1}) {
    std::string content;
    for (int i = 0; i < cifar_images; ++i) {
      content += static_cast<char>(i);
      content += static_cast<char>(3 * i + batch) + cifar_pixels(batch, i);
    }
    write_file(base / (batch == 0 ? "train.bin" : "test.bin"), content);
  }
}

void make_cifar100_python(const fs::path& root) {
  const fs::path base = root / "cifar-100-python";
  write_file(base / "meta",
             pickled::file(pickled::dict(
                 {{"fine_label_names", pickled::list(pickled_texts(fine_names))},
                  {"coarse_label_names", pickled::list(pickled_texts(coarse_names))}})));
  for (const int batch : {0, 1}) {
    std::string content;
    std::vector<std::string> fine;
    std::vector<std::string> coarse;
    for (int i = 0; i < cifar_images; ++i) {
      content += cifar_pixels(batch, i);
      fine.push_back(pickled::integer(3 * i + batch));
      coarse.push_back(pickled::integer(i));
    }
    write_file(
        base / (batch == 0 ? "train" : "test"),
        pickled::file(pickled::dict({{"fine_labels", pickled::list(fine)},
                                     {"coarse_labels", pickled::list(coarse)},
                                     {"data", pickled::array(cifar_images, 3072, content)}})));
  }
}

namespace {

constexpr int stl10_bytes = 3 * 96 * 96;

/// Image `index`: in the file's order (channel, column, row) byte j is 11 index + 5 j (mod 256).
std::string stl10_pixels(int first, int count) {
  std::string pixels;
  for (int index = first; index < first + count; ++index) {
    for (int j = 0; j < stl10_bytes; ++j) {
      pixels += static_cast<char>(11 * index + 5 * j);
    }
  }
  return pixels;
}

std::string idx_file(const std::vector<uint8_t>& dimensions, const std::string& content) {
  std::string file{0, 0, 8, static_cast<char>(dimensions.size())};
  for (const uint8_t dimension : dimensions) {
    file += std::string(3, '\0') + static_cast<char>(dimension);
  }
  return file + content;
}

}  // namespace

void make_stl10(const fs::path& root) {
  const fs::path base = root / "stl10_binary";
  write_file(base / "class_names.txt",
             "airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n");
  write_file(base / "train_X.bin", stl10_pixels(0, 4));
  write_file(base / "train_y.bin", "\x01\x0A\x03\x04");
  write_file(base / "test_X.bin", stl10_pixels(4, 2));
  write_file(base / "test_y.bin", "\x02\x09");
  write_file(base / "unlabeled_X.bin", stl10_pixels(6, 3));
  std::string folds;
  for (int fold = 0; fold < 10; ++fold) {
    folds += std::to_string(fold % 4) + " " + std::to_string((fold + 2) % 4) + " \n";
  }
  write_file(base / "fold_indices.txt", folds);
}

void make_svhn(const fs::path& root) {
  for (const std::string split : {"train", "test", "extra"}) {
    std::string pixels;
    for (int j = 0; j < 3 * 3072; ++j) {
      pixels += static_cast<char>(13 * j + (split == "train" ? 0 : 1));
    }
    write_file(root / (split + "_32x32.mat"),
               mat::file({mat::compressed(mat::bytes("X", {32, 32, 3, 3}, pixels)),
                          mat::compressed(mat::bytes("y", {3, 1}, "\x01\x0A\x09"))}));
  }
}

void make_emnist(const fs::path& root) {
  std::string pixels;
  for (int j = 0; j < 2 * 784; ++j) {
    pixels += static_cast<char>(3 * j);
  }
  for (const std::string split : {"train", "test"}) {
    for (const std::string variant : {"balanced", "letters"}) {
      const std::string start = "emnist-" + variant + "-" + split + "-";
      write_file(root / (start + "images-idx3-ubyte.gz"), gzip_of(idx_file({2, 28, 28}, pixels)));
      write_file(
          root / (start + "labels-idx1-ubyte.gz"),
          gzip_of(idx_file({2}, variant == "letters" ? "\x01\x1A" : std::string("\0\x2E", 2))));
    }
  }
}

void make_shards(const fs::path& root) {
  for (const int shard : {0, 1}) {
    std::vector<std::pair<std::string, std::string>> members;
    for (int i = 0; i < 3; ++i) {
      const std::string key = "train/" + std::to_string(100 * shard + i);
      members.emplace_back(key + ".jpg",
                           jpeg_of(6, 4, static_cast<uint8_t>(10 + 30 * shard + 4 * i)));
      members.emplace_back(key + ".cls", std::to_string((i + shard) % 3) + "\n");
      members.emplace_back(key + ".json", "{}");
    }
    const std::string archive = tar_of(members);
    write_file(root / ("shard-" + std::to_string(shard) + ".tar"),
               shard == 0 ? archive : gzip_of(archive));
  }
}

}  // namespace bissl::host::test
