#include "bissl/dataset.h"
#include "bissl/error.h"
#include "folder_walk.h"
#include "image_folder_fixture.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;
using test::gray_image;
using test::ImageFolderTest;
using test::values_of;

std::vector<int64_t> labels_of(const Dataset& dataset) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    labels.push_back(dataset.target(i).category);
    EXPECT_EQ(dataset.get(i).target.category, labels.back());
  }
  return labels;
}

TEST_F(ImageFolderTest, FoldersAreClassesInTheOrderOfTheirBytes) {
  image("zebra/1.pgm", 1);
  image("Ant/b.pgm", 2);
  image("Ant/a.pgm", 3);
  image("ant/deep/deeper/x.PGM", 4);
  image("ant/y.pgm", 5);
  const auto dataset = open();
  EXPECT_EQ(dataset->targets().kind, TargetKind::category);
  EXPECT_EQ(dataset->targets().names, (Names{"Ant", "ant", "zebra"}));
  EXPECT_EQ(values_of(*dataset), (std::vector<int>{3, 2, 5, 4, 1}));
  EXPECT_EQ(labels_of(*dataset), (std::vector<int64_t>{0, 0, 1, 1, 2}));
}

TEST_F(ImageFolderTest, AFlatFolderHasNoLabels) {
  image("2.pgm", 2);
  image("1.pgm", 1);
  const auto dataset = open();
  EXPECT_EQ(dataset->targets(), TargetSpec{});
  EXPECT_EQ(values_of(*dataset), (std::vector<int>{1, 2}));
  EXPECT_EQ(labels_of(*dataset), (std::vector<int64_t>{-1, -1}));
  EXPECT_EQ(refusal({{"take", std::string("labelled")}}),
            "DIR/photos: take = \"labelled\", but none of the 2 images has a label");
}

TEST_F(ImageFolderTest, PartlyLabelledDataIsAskedForInParts) {
  image("cat/1.pgm", 1);
  image("dog/2.pgm", 2);
  image("3.pgm", 3);
  image("more/4.pgm", 4);
  image("more/deep/5.pgm", 5);
  const ParameterValues partly{{"unlabelled", Names{"more"}}};
  EXPECT_EQ(refusal(partly),
            "DIR/photos: 2 images have a label and 3 have none: say by `take` which are meant: "
            "\"labelled\", \"unlabelled\", or \"all\", whose labels are not read");
  const auto take = [&](const char* part) {
    ParameterValues values = partly;
    values["take"] = std::string(part);
    return open(values);
  };
  EXPECT_EQ(values_of(*take("labelled")), (std::vector<int>{1, 2}));
  EXPECT_EQ(take("labelled")->targets().names, (Names{"cat", "dog"}));
  EXPECT_EQ(values_of(*take("unlabelled")), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(values_of(*take("all")), (std::vector<int>{3, 1, 2, 4, 5}));
  EXPECT_EQ(take("all")->targets(), TargetSpec{});
  EXPECT_EQ(
      refusal({{"unlabelled", Names{"mroe"}}}),
      "DIR/photos: has no folder \"mroe\", which `unlabelled` names; it has \"cat\", \"dog\", "
      "\"more\"");
}

TEST_F(ImageFolderTest, ClassNamesGiveTheOrderAndMayBeEmpty) {
  image("dog/1.pgm", 1);
  image("cat/2.pgm", 2);
  const auto dataset = open({{"class_names", Names{"dog", "fish", "cat"}}});
  EXPECT_EQ(dataset->targets().names, (Names{"dog", "fish", "cat"}));
  EXPECT_EQ(labels_of(*dataset), (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(refusal({{"class_names", Names{"dog", "fish"}}}),
            "DIR/photos: has a folder that `class_names` does not name: \"cat\"; the classes are "
            "\"dog\", \"fish\"");
}

TEST_F(ImageFolderTest, AnEmptyClassIsAnError) {
  image("dog/1.pgm", 1);
  write("cat/readme.txt", "no image");
  fs::create_directories(root() / "fish");
  EXPECT_EQ(refusal(),
            "DIR/photos: has folders without images: \"cat\", \"fish\" (left out below DIR/photos: "
            "1 file that is not called like an image). Take them away, or name all classes by "
            "`class_names`, of which some may be empty");
  EXPECT_EQ(open({{"class_names", Names{"cat", "dog", "fish"}}})->size(), 1);
  EXPECT_EQ(open({{"take", std::string("all")}})->size(), 1);
}

TEST_F(ImageFolderTest, WrongPlacesAreErrors) {
  EXPECT_EQ(refusal(), "DIR/photos/: no such folder");
  fs::create_directories(root());
  EXPECT_EQ(refusal(),
            "DIR/photos: has no images; expected ROOT/CLASS/… or ROOT/… with files "
            "called .jpg, .png, .webp, .tif, .bmp, .gif, .ppm, .pgm or .pbm");
  write("notes.txt", "");
  write(".hidden.pgm", gray_image(1));
  EXPECT_NE(refusal().find("(1 hidden file or folder, 1 file that is not called like an image left "
                           "out)"),
            std::string::npos)
      << refusal();
  EXPECT_EQ(refusal({{"root", (root() / "notes.txt").string()}}),
            "DIR/photos/notes.txt/: is not a folder");
  image("train/cat/1.pgm", 1);
  image("test/cat/1.pgm", 1);
  EXPECT_EQ(refusal(),
            "DIR/photos: has the folders \"test\", \"train\", which look like splits and not like "
            "classes: set `root` to one of them, or say by `class_names` that they are classes");
  EXPECT_EQ(open({{"class_names", Names{"train", "test"}}})->size(), 2);
}

TEST_F(ImageFolderTest, LinksAreFollowedAndCirclesEnd) {
  image("cat/1.pgm", 1);
  image("elsewhere/2.pgm", 2);
  fs::create_directory_symlink("..", root() / "cat/up");
  fs::create_directory_symlink("../elsewhere", root() / "cat/more");
  fs::create_directory_symlink("../elsewhere", root() / "cat/more-again");
  fs::create_symlink("nowhere.pgm", root() / "cat/broken.pgm");
  fs::create_symlink("../elsewhere/2.pgm", root() / "cat/linked.pgm");
  fs::create_directory_symlink("cat", root() / "kitten");
  ASSERT_EQ(::mkfifo((root() / "cat/pipe.pgm").c_str(), 0600), 0);
  const auto dataset = open();
  EXPECT_EQ(dataset->targets().names, (Names{"cat", "elsewhere", "kitten"}));
  EXPECT_EQ(values_of(*dataset), (std::vector<int>{1, 2, 2, 2, 1, 2, 2}));
  EXPECT_EQ(labels_of(*dataset), (std::vector<int64_t>{0, 0, 0, 1, 2, 2, 2}));
  EXPECT_EQ(notes_of(*dataset),
            (Names{"DIR/photos: left out 2 symbolic links that lead nowhere, 4 folders that links "
                   "lead to again, 2 pipes, sockets or devices"}));
  const FolderContent content = walk_folder(root().string());
  EXPECT_EQ(content.left_out.text(),
            "2 symbolic links that lead nowhere, 4 folders that links lead to again, 2 pipes, "
            "sockets or devices");
}

TEST_F(ImageFolderTest, HiddenAndOtherFilesAreCounted) {
  image("cat/1.pgm", 1);
  image("cat/.thumbnails/1.pgm", 1);
  write("cat/._1.pgm", "resource fork");
  write("cat/Thumbs.db", "");
  write("cat/labels.csv", "");
  EXPECT_EQ(open()->size(), 1);
  EXPECT_EQ(walk_folder(root().string()).left_out.text(),
            "2 hidden files or folders, 2 files that are not called like images");
}

TEST_F(ImageFolderTest, FoldersNestedTooDeepAreRefused) {
  std::string deep = "cat";
  for (int i = 0; i < 70; ++i) {
    deep += "/d";
  }
  image(deep + "/1.pgm", 1);
  EXPECT_NE(refusal().find("folders are nested more than 64 deep"), std::string::npos) << refusal();
}

/// As root reads everything, the folder is opened by a child process of another user.
TEST_F(ImageFolderTest, AFolderWithoutPermissionIsNamed) {
  image("cat/1.pgm", 1);
  image("dog/1.pgm", 1);
  fs::permissions(folder_.path(), fs::perms::all);
  fs::permissions(root() / "dog", fs::perms::none);
  const std::string expected = "DIR/photos/dog/: cannot be read: Permission denied";
  const pid_t child = ::fork();
  if (child == 0) {
    const bool right = (::geteuid() != 0 || ::seteuid(65534) == 0) && refusal() == expected;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << refusal();
  fs::permissions(root() / "dog", fs::perms::all);
}

/// There may be images behind it; as above by a child process of another user.
TEST_F(ImageFolderTest, ALinkIntoAFolderWithoutPermissionDoesNotLeadNowhere) {
  image("cat/1.pgm", 1);
  fs::create_directories(folder_.path() / "closed");
  test::write_file(folder_.path() / "closed/2.pgm", gray_image(2));
  fs::create_symlink(folder_.path() / "closed/2.pgm", root() / "cat/2.pgm");
  fs::create_symlink("nowhere", root() / "cat/3.pgm");
  fs::permissions(folder_.path(), fs::perms::all);
  fs::permissions(folder_.path() / "closed", fs::perms::none);
  const std::string expected =
      "1 symbolic link that leads nowhere, 1 symbolic link that cannot be followed (no permission, "
      "or another error)";
  const pid_t child = ::fork();
  if (child == 0) {
    const bool right = (::geteuid() != 0 || ::seteuid(65534) == 0) &&
                       walk_folder(root().string()).left_out.text() == expected;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  fs::permissions(folder_.path() / "closed", fs::perms::all);
}

/// It is listed, so a run may come upon it late; as above by a child process of another user.
TEST_F(ImageFolderTest, AnImageWithoutPermissionIsNamedOrSkipped) {
  image("cat/1.pgm", 1);
  image("cat/2.pgm", 2);
  fs::permissions(folder_.path(), fs::perms::all);
  fs::permissions(root() / "cat/1.pgm", fs::perms::none);
  const std::string expected =
      "DIR/photos/cat/1.pgm: cannot be read: Permission denied. Mend or remove the file, or set "
      "broken = \"skip\"";
  const auto dataset = open();
  const auto skipping = open({{"broken", std::string("skip")}});
  const pid_t child = ::fork();
  if (child == 0) {
    const bool right =
        (::geteuid() != 0 || ::seteuid(65534) == 0) && refusal_of_sample(*dataset, 0) == expected &&
        dataset->get(1).image.pixels[0] == 2 && skipping->get(0).image.pixels[0] == 2;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  fs::permissions(root() / "cat/1.pgm", fs::perms::all);
}

TEST_F(ImageFolderTest, AListNamesImagesAndLabels) {
  image("a/1.pgm", 1);
  image("2.pgm", 2);
  write("b/3.data", gray_image(3));  // a list says that it is an image
  test::write_file(folder_.path() / "list.csv",
                   "path,label\na/1.pgm,dog\nb/3.data,cat\n2.pgm,dog\n" +
                       (root() / "a/../2.pgm").string() + ",cat\n");
  const std::string list = (folder_.path() / "list.csv").string();
  const auto dataset = open({{"list", list}});
  EXPECT_EQ(dataset->targets().names, (Names{"cat", "dog"}));
  EXPECT_EQ(values_of(*dataset), (std::vector<int>{1, 3, 2, 2}));
  EXPECT_EQ(labels_of(*dataset), (std::vector<int64_t>{1, 0, 1, 0}));
  EXPECT_EQ(refusal({{"list", list}, {"class_names", Names{"cat"}}}),
            "DIR/list.csv: has a label that `class_names` does not name: \"dog\"; the classes are "
            "\"cat\"");
}

TEST_F(ImageFolderTest, AListIsRelativeToItselfAndMayBePartlyLabelled) {
  image("1.pgm", 1);
  image("2.pgm", 2);
  write("list.csv", "2.pgm,dog\n1.pgm\n");
  const ParameterValues list{{"root", std::string()}, {"list", (root() / "list.csv").string()}};
  EXPECT_NE(refusal(list).find("1 image has a label and 1 has none"), std::string::npos)
      << refusal(list);
  ParameterValues all = list;
  all["take"] = std::string("all");
  EXPECT_EQ(values_of(*open(all)), (std::vector<int>{2, 1}));
  ParameterValues unlabelled = list;
  unlabelled["take"] = std::string("unlabelled");
  EXPECT_EQ(values_of(*open(unlabelled)), (std::vector<int>{1}));
}

TEST_F(ImageFolderTest, ListsThatCannotBeReadAreErrors) {
  image("1.pgm", 1);
  EXPECT_EQ(refusal({{"list", (root() / "none.csv").string()}}),
            "DIR/photos/none.csv: cannot be read: No such file or directory");
  write("list.csv", "path,label\n");
  EXPECT_EQ(refusal({{"list", (root() / "list.csv").string()}}),
            "DIR/photos/list.csv: names no images; expected `path[,label]` on each line");
  write("list.csv", "missing.pgm,cat\n");
  const auto dataset = open({{"list", (root() / "list.csv").string()}});
  EXPECT_EQ(
      refusal_of_sample(*dataset, 0),
      "DIR/photos/missing.pgm: is not there, but DIR/photos/list.csv names it. Mend or remove "
      "the file, or set broken = \"skip\"");
}

TEST_F(ImageFolderTest, WrongOptionsAreErrors) {
  const auto findings = [](const ParameterValues& values) {
    return test::image_folder_library().findings("image-folder", values);
  };
  EXPECT_EQ(findings({}),
            (Names{"root: is missing: give the folder of the images, or a `list` of them"}));
  const Value root = std::string("photos");
  EXPECT_EQ(findings({{"root", root}, {"class_names", Names{"a", "b", "a"}}}),
            (Names{"class_names: names \"a\" twice"}));
  EXPECT_EQ(findings({{"root", root}, {"class_names", Names{"a"}}, {"unlabelled", Names{"a"}}}),
            (Names{"unlabelled: names \"a\", which `class_names` names, too"}));
  EXPECT_EQ(findings({{"root", root}, {"range", std::vector<double>{5, 2}}}),
            (Names{"range: has 2 numbers in the wrong order; give two, the smaller one first"}));
  EXPECT_EQ(findings({{"list", root}, {"unlabelled", Names{"a"}}}),
            (Names{"unlabelled: names folders, but a `list` is given: leave their labels away "
                   "there"}));
}

}  // namespace
}  // namespace bissl::host
