#include "dataset_trees.h"

#include "file_writers.h"
#include "support/temporary_folder.h"

#include <array>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// Writes images of rising gray values.
class ImageWriter {
 public:
  explicit ImageWriter(fs::path folder) : folder_(std::move(folder)) {}
  void operator()(const std::string& name) {
    write_file(folder_ / name, jpeg_of(6, 4, static_cast<uint8_t>(value_)));
    value_ += 4;
  }

 private:
  fs::path folder_;
  int value_ = 10;
};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    text += line + "\n";
  }
  return text;
}

}  // namespace

void make_food101(const fs::path& root) {
  const fs::path base = root / "food-101";
  write_file(base / "meta/classes.txt", "apple_pie\nwaffles\n");
  write_file(base / "meta/train.txt", "apple_pie/1005649\napple_pie/1014775\nwaffles/1009\n");
  write_file(base / "meta/test.txt", "waffles/2000\napple_pie/1011328\n");
  ImageWriter image(base / "images");
  for (const char* name : {"apple_pie/1005649", "apple_pie/1014775", "waffles/1009", "waffles/2000",
                           "apple_pie/1011328"}) {
    image(std::string(name) + ".jpg");
  }
}

void make_caltech101(const fs::path& root) {
  ImageWriter image(root / "caltech-101/101_ObjectCategories");
  for (const std::string name : {"BACKGROUND_Google", "Faces", "accordion"}) {
    const int images = name == "Faces" ? 33 : 32;
    for (int i = 1; i <= images; ++i) {
      image(name + "/image_00" + (i < 10 ? "0" : "") + std::to_string(i) + ".jpg");
    }
  }
}

void make_sun397(const fs::path& root) {
  const fs::path base = root / "SUN397";
  write_file(base / "ClassName.txt", "/a/abbey\n/a/apartment_building/outdoor\n/z/zoo\n");
  ImageWriter image(base);
  for (const char* name : {"a/abbey/sun_a.jpg", "a/apartment_building/outdoor/sun_b.jpg",
                           "z/zoo/sun_c.jpg", "a/abbey/sun_d.jpg"}) {
    image(name);
  }
  const std::string train = "/a/abbey/sun_a.jpg\n/a/apartment_building/outdoor/sun_b.jpg\n";
  const std::string test = "/z/zoo/sun_c.jpg\n/a/abbey/sun_d.jpg\n";
  write_file(base / "Training_01.txt", train);
  write_file(base / "Testing_01.txt", test);
  write_file(base / "Partitions/Training_02.txt", test);
  write_file(base / "Partitions/Testing_02.txt", train);
}

void make_stanford_cars(const fs::path& root) {
  const fs::path base = root / "stanford_cars";
  const auto annotations = [](const std::vector<std::pair<int, std::string>>& cars) {
    std::vector<std::string> parts;
    for (const auto& [label, name] : cars) {
      parts.push_back(mat::doubles("", {1, 1}, {39}));
      parts.push_back(mat::bytes("", {1, 1}, std::string(1, static_cast<char>(label))));
      parts.push_back(mat::text("", name));
    }
    return mat::file(
        {mat::compressed(mat::structure("annotations", {1, static_cast<int32_t>(cars.size())},
                                        {"bbox_x1", "class", "fname"}, parts))});
  };
  write_file(base / "devkit/cars_meta.mat",
             mat::file({mat::cell(
                 "class_names", {1, 3},
                 {mat::text("", "AM General Hummer SUV 2000"), mat::text("", "Acura RL Sedan 2012"),
                  mat::text("", "smart fortwo Convertible 2012")})}));
  write_file(base / "devkit/cars_train_annos.mat",
             annotations({{3, "00001.jpg"}, {1, "00002.jpg"}}));
  write_file(base / "cars_test_annos_withlabels.mat", annotations({{2, "00001.jpg"}}));
  ImageWriter image(base);
  for (const char* name : {"cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg"}) {
    image(name);
  }
}

void make_fgvc_aircraft(const fs::path& root) {
  const fs::path data = root / "fgvc-aircraft-2013b/data";
  write_file(data / "variants.txt", "707-320\n747-100\nAn-12\n");
  write_file(data / "families.txt", "Boeing 707\nBoeing 747\nAn-12\n");
  write_file(data / "manufacturers.txt", "Boeing\nAntonov\n");
  ImageWriter image(data / "images");
  for (const char* number : {"0034309", "0034958", "0037511", "0037512"}) {
    image(std::string(number) + ".jpg");
  }
  const auto lists = [&](const std::string& level, const std::array<std::string, 4>& names) {
    const std::string start = "images_" + level + "_";
    write_file(data / (start + "train.txt"), "0034309 " + names[0] + "\n");
    write_file(data / (start + "val.txt"), "0034958 " + names[1] + "\n");
    write_file(data / (start + "trainval.txt"),
               "0034309 " + names[0] + "\n0034958 " + names[1] + "\n");
    write_file(data / (start + "test.txt"), "0037511 " + names[2] + "\n0037512 " + names[3] + "\n");
  };
  lists("variant", {"707-320", "747-100", "An-12", "707-320"});
  lists("family", {"Boeing 707", "Boeing 747", "An-12", "Boeing 707"});
  lists("manufacturer", {"Boeing", "Boeing", "Antonov", "Boeing"});
}

void make_voc2012(const fs::path& root) {
  const fs::path base = root / "VOCdevkit/VOC2012";
  ImageWriter image(base / "JPEGImages");
  uint8_t category = 0;
  for (const std::string name : {"2007_000032", "2007_000039", "2007_000063"}) {
    image(name + ".jpg");
    std::vector<uint8_t> values(24, category++);
    values[0] = 255;
    write_file(base / ("SegmentationClass/" + name + ".png"),
               png_of(6, 4, 8, PngKind::palette, values));
  }
  const fs::path sets = base / "ImageSets/Segmentation";
  write_file(sets / "train.txt", "2007_000032\n2007_000063\n");
  write_file(sets / "val.txt", "2007_000039\n");
  write_file(sets / "trainval.txt", "2007_000032\n2007_000039\n2007_000063\n");
}

void make_masks(const fs::path& root) {
  ImageWriter image(root / "images");
  int first = 0;
  for (const std::string name : {"a", "b", "c"}) {
    image(name + ".jpg");
    std::vector<uint8_t> values(24);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<uint8_t>((static_cast<size_t>(first) + i) % 3);
    }
    ++first;
    write_file(root / "masks" / (name + ".png"), png_of(6, 4, 2, PngKind::gray, values));
  }
  write_file(root / "classes.txt", "ground\ntree\nwater\n");
}

void make_voc2007(const fs::path& root) {
  const fs::path base = root / "VOCdevkit/VOC2007";
  const fs::path sets = base / "ImageSets/Main";
  ImageWriter image(base / "JPEGImages");
  for (const char* number : {"000005", "000007", "000012", "000001"}) {
    image(std::string(number) + ".jpg");
  }
  const std::vector<std::pair<std::string, std::vector<std::string>>> splits{
      {"train", {"000012"}},
      {"val", {"000005", "000007"}},
      {"trainval", {"000005", "000007", "000012"}},
      {"test", {"000001"}}};
  for (const auto& [split, images] : splits) {
    write_file(sets / (split + ".txt"), joined(images));
    for (const char* name :
         {"aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",      "car",
          "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",    "motorbike",
          "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"}) {
      std::string lines;
      for (const std::string& number : images) {
        // 000005 has a chair, and a bottle that is difficult; 000007 a car.
        const bool chair = std::string(name) == "chair" && number == "000005";
        const bool car = std::string(name) == "car" && number == "000007";
        const bool bottle = std::string(name) == "bottle" && number == "000005";
        lines += number + (chair || car ? "  1\n" : bottle ? "  0\n" : " -1\n");
      }
      write_file(sets / (std::string(name) + "_" + split + ".txt"), lines);
    }
  }
}

void make_dtd(const fs::path& root) {
  const fs::path base = root / "dtd";
  ImageWriter image(base / "images");
  for (const char* name : {"banded/banded_0002.jpg", "banded/banded_0004.jpg",
                           "zigzagged/zigzagged_0001.jpg", "zigzagged/zigzagged_0002.jpg"}) {
    image(name);
  }
  for (const std::string partition : {"1", "2"}) {
    const bool first = partition == "1";
    const fs::path labels = base / "labels";
    write_file(labels / ("train" + partition + ".txt"),
               first ? "banded/banded_0002.jpg\nzigzagged/zigzagged_0001.jpg\n"
                     : "banded/banded_0004.jpg\n");
    write_file(labels / ("val" + partition + ".txt"),
               first ? "banded/banded_0004.jpg\n" : "banded/banded_0002.jpg\n");
    write_file(labels / ("test" + partition + ".txt"), "zigzagged/zigzagged_0002.jpg\n");
  }
}

void make_oxford_pets(const fs::path& root) {
  const fs::path base = root / "oxford-iiit-pet";
  write_file(base / "annotations/trainval.txt",
             "Abyssinian_100 1 1 1\namerican_bulldog_100 2 2 1\nBengal_10 3 1 2\n");
  write_file(base / "annotations/test.txt", "american_bulldog_201 2 2 1\nAbyssinian_201 1 1 1\n");
  ImageWriter image(base / "images");
  for (const char* name : {"Abyssinian_100", "american_bulldog_100", "Bengal_10",
                           "american_bulldog_201", "Abyssinian_201"}) {
    image(std::string(name) + ".jpg");
  }
}

void make_flowers102(const fs::path& root) {
  const fs::path base = root / "flowers-102";
  write_file(base / "imagelabels.mat",
             mat::file({mat::compressed(mat::bytes("labels", {1, 5}, "\x02\x01\x66\x01\x03"))}));
  write_file(base / "setid.mat",
             mat::file({mat::doubles("trnid", {1, 2}, {2, 1}), mat::doubles("valid", {1, 1}, {3}),
                        mat::doubles("tstid", {1, 2}, {4, 5})}));
  ImageWriter image(base / "jpg");
  for (int i = 1; i <= 5; ++i) {
    image("image_0000" + std::to_string(i) + ".jpg");
  }
}

void make_cub200(const fs::path& root) {
  const fs::path base = root / "CUB_200_2011";
  write_file(base / "classes.txt", "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n");
  write_file(base / "images.txt",
             "1 001.Black_footed_Albatross/Black_1.jpg\n2 001.Black_footed_Albatross/Black_2.jpg\n"
             "3 002.Laysan_Albatross/Laysan_1.jpg\n");
  write_file(base / "image_class_labels.txt", "1 1\n2 1\n3 2\n");
  write_file(base / "train_test_split.txt", "1 0\n2 1\n3 1\n");
  ImageWriter image(base / "images");
  for (const char* name :
       {"001.Black_footed_Albatross/Black_1.jpg", "001.Black_footed_Albatross/Black_2.jpg",
        "002.Laysan_Albatross/Laysan_1.jpg"}) {
    image(name);
  }
}

namespace {

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
