#pragma once

#include <filesystem>
#include <string>

namespace bissl::host::test {

// Small made-up datasets in their official layouts. Each makes its official folder below `root`.
// Image files are of one gray value, a different one for each image of a dataset: see the tests.

void make_caltech101(const std::filesystem::path& root);
void make_cub200(const std::filesystem::path& root);
void make_dtd(const std::filesystem::path& root);
void make_fgvc_aircraft(const std::filesystem::path& root);
void make_flowers102(const std::filesystem::path& root);
void make_food101(const std::filesystem::path& root);
void make_oxford_pets(const std::filesystem::path& root);
void make_stanford_cars(const std::filesystem::path& root);
void make_sun397(const std::filesystem::path& root);
void make_voc2007(const std::filesystem::path& root);
/// Masks with a palette: all pixels of the n-th image are of class n, but the first, which does not
/// count.
void make_voc2012(const std::filesystem::path& root);
/// images/a.jpg … c.jpg, masks/a.png … c.png and classes.txt ("ground", "tree", "water"): in the
/// masks, of 2 bits, pixel i of the n-th is (n + i) mod 3.
void make_masks(const std::filesystem::path& root);

/// Two images in each batch; pixel j of image i of batch b is i + 2 b + 7 j (mod 256), in the order
/// in which the files have them; labels are i + b (fine: 3 i + b, coarse: i) (mod the classes).
void make_cifar10_binary(const std::filesystem::path& root);
void make_cifar10_python(const std::filesystem::path& root);
void make_cifar100_binary(const std::filesystem::path& root);
void make_cifar100_python(const std::filesystem::path& root);

/// 4 training images, 2 test images, 3 without labels; ten folds of two images.
void make_stl10(const std::filesystem::path& root);
/// 3 images in each of the three files.
void make_svhn(const std::filesystem::path& root);
/// 2 images in each of the two files of the variant "balanced"; and those of "letters".
void make_emnist(const std::filesystem::path& root);
/// Two shards of three samples, "shard-0.tar" and the compressed "shard-1.tar".
void make_shards(const std::filesystem::path& root);

}  // namespace bissl::host::test
