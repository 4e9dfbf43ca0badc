#include "dataset_trees.h"

#include "file_writers.h"
#include "joined_lines.h"
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

}  // namespace bissl::host::test
