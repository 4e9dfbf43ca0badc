// The readers of files of others: tar, gzip, lists. tests/reference/dataset_files.py writes the
// files of the corpora with Python's own libraries.

#include "file_readers.h"
#include "file_access.h"
#include "file_writers.h"
#include "inflate.h"
#include "layout.h"
#include "refusals.h"
#include "support/temporary_folder.h"
#include "tar_reader.h"
#include "text_lines.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

// Tar

std::vector<TarMember> members_of(const fs::path& file) {
  const RandomAccessFile archive(file);
  std::vector<TarMember> members;
  list_tar(archive, [&](const TarMember& member) { members.push_back(member); });
  return members;
}

using TarReader = FileReaders;

TEST_F(TarReader, ReadsWhatPythonWrites) {
  const std::string long_name =
      std::string(80, 'x') + "/" + std::string(90, 'y') + "/" + std::string(120, 'z') + ".jpg";
  for (const std::string format : {"ustar", "gnu", "pax"}) {
    const fs::path file = corpus("tar/" + format + ".tar");
    const std::vector<TarMember> members = members_of(file);
    ASSERT_GE(members.size(), 4U) << format;
    EXPECT_EQ(members[0].name, "a/0001.jpg");
    EXPECT_EQ(members[1].name, "a/0001.cls");
    EXPECT_EQ(members[3].size, 3U);
    std::string content(3, ' ');
    RandomAccessFile(file).read(members[3].offset, content.data(), 3);
    EXPECT_EQ(content, "12\n");
    if (format != "ustar") {
      ASSERT_GE(members.size(), 5U) << format;
      EXPECT_EQ(members[4].name, long_name) << format;
      EXPECT_EQ(members[4].size, 4U);
    }
  }
  EXPECT_EQ(members_of(corpus("tar/pax.tar")).at(5).name, "ü.jpg");
}

TEST_F(TarReader, ReadsLargeSizesInBothForms) {
  // 2^33 bytes do not fit eleven octal digits; only the message can show that they were read.
  const std::string base256("\x80\0\0\0\0\0\0\2\0\0\0\0", 12);
  const fs::path file = write("a.tar", tar_header("a.jpg", 0, '0', base256) + tar_end());
  EXPECT_EQ(
      refusal([&] { members_of(file); }),
      "DIR/a.tar: at byte 0: \"a.jpg\" is to have 8589934592 bytes, but the archive ends after "
      "1024 of them: it is cut short or damaged; fetch or write it again");
  const fs::path pax = write("b.tar", pax_record("size", "3") + tar_header("a.jpg", 0) +
                                          std::string("abc") + std::string(509, '\0') + tar_end());
  EXPECT_EQ(members_of(pax).at(0).size, 3U);
}

TEST_F(TarReader, RefusesWhatIsNoFile) {
  expect_part(refusal_of([] { members_of(corpus("tar/link.tar")); }),
              "link.tar: at byte 4096: \"b.jpg\" is a link; only files and folders are accepted");
  expect_part(refusal_of([] { members_of(corpus("tar/device.tar")); }), "\"b.jpg\" is a device");
  for (const auto& [type, what] :
       std::vector<std::pair<char, std::string>>{{'1', "a link"},
                                                 {'6', "a named pipe"},
                                                 {'4', "a device"},
                                                 {'S', "a sparse file"},
                                                 {'Z', "of a type that no file has"}}) {
    const fs::path file = write("a.tar", tar_member("x.jpg", "", type) + tar_end());
    EXPECT_EQ(refusal([&] { members_of(file); }), "DIR/a.tar: at byte 0: \"x.jpg\" is " + what +
                                                      "; only files and folders are accepted");
  }
  const fs::path sparse =
      write("a.tar", pax_record("GNU.sparse.major", "1") + tar_member("x.jpg", "abc") + tar_end());
  expect_part(refusal([&] { members_of(sparse); }), "the next member is a sparse file");
}

TEST_F(TarReader, RefusesNamesThatLeadOut) {
  expect_part(refusal_of([] { members_of(corpus("tar/traversal.tar")); }),
              "the name \"../../b.jpg\" leads out of the archive");
  for (const std::string name : {"/etc/a.jpg", "a/../../b.jpg", "a//b.jpg", "a/./b.jpg", ".."}) {
    const fs::path file = write("a.tar", tar_member(name, "abc") + tar_end());
    expect_part(refusal([&] { members_of(file); }), "the name \"" + name + "\" leads out");
    const fs::path pax =
        write("b.tar", pax_record("path", name) + tar_member("good.jpg", "abc") + tar_end());
    expect_part(refusal([&] { members_of(pax); }), "the name \"" + name + "\" leads out");
  }
  EXPECT_EQ(members_of(write("a.tar", tar_of({{"./a/b.jpg", "abc"}}))).at(0).name, "a/b.jpg");
}

TEST_F(TarReader, RefusesAnArchiveCutShortAnywhere) {
  const std::string whole = tar_of({{"a.jpg", std::string(700, 'x')}, {"a.cls", "3"}});
  // One of the two zero blocks at the end is enough.
  for (size_t size = 0; size < whole.size() - 512; size += 64) {
    const fs::path file = write("a.tar", whole.substr(0, size));
    const std::string text = refusal([&] { members_of(file); });
    EXPECT_NE(text.find("cut short"), std::string::npos) << size << ": " << text;
  }
  EXPECT_EQ(members_of(write("a.tar", whole.substr(0, whole.size() - 512))).size(), 2U);
}

TEST_F(TarReader, RefusesOtherFiles) {
  const fs::path text = write("a.tar", std::string(2000, 'x'));
  expect_part(refusal([&] { members_of(text); }), "DIR/a.tar: at byte 0: the checksum is no octal");
  std::string archive = tar_of({{"a.jpg", "abc"}});
  archive[3] = 'X';
  const fs::path changed = write("a.tar", archive);
  expect_part(refusal([&] { members_of(changed); }), "its checksum is wrong");
  EXPECT_EQ(refusal([&] { members_of(folder_.path()); }), "DIR: is not a file");
}

/// GNU tar fills the last record of 10 KiB with zeros.
TEST_F(TarReader, RefusesWhatFollowsTheEnd) {
  const std::string one = tar_of({{"a.jpg", "abc"}});
  for (const size_t zeros : {0, 1, 512, 10240, 100'000}) {
    EXPECT_EQ(members_of(write("a.tar", one + std::string(zeros, '\0'))).size(), 1U) << zeros;
  }
  for (const size_t zeros : {0, 512, 9216, 99'840}) {
    const fs::path two = write("a.tar", one + std::string(zeros, '\0') + one);
    expect_part(refusal([&] { members_of(two); }),
                "DIR/a.tar: at byte " + std::to_string(one.size() + zeros) +
                    ": something follows the zero block at the end of the archive");
  }
}

// Gzip

TEST_F(FileReaders, ZerosMayFollowAGzipStream) {
  const std::string whole = gzip_of("first, ") + gzip_of("second");
  for (const size_t zeros : {1, 512, 3 << 20}) {
    unpack_gzip(write("a.gz", whole + std::string(zeros, '\0')), folder_.path() / "a");
    EXPECT_EQ(read_file(folder_.path() / "a"), "first, second") << zeros;
  }
  for (const std::string& more : {std::string("x"), gzip_of("third")}) {
    const fs::path packed = write("a.gz", whole + std::string(512, '\0') + more);
    expect_part(refusal([&] { unpack_gzip(packed, folder_.path() / "b"); }),
                "DIR/a.gz: something follows the zeros behind its gzip stream");
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "b"));
}

TEST_F(FileReaders, UnpacksGzipWithSeveralMembers) {
  const fs::path packed = write("a.gz", gzip_of("first, ") + gzip_of(std::string(3 << 20, 'x')));
  unpack_gzip(packed, folder_.path() / "a");
  EXPECT_EQ(read_file(folder_.path() / "a"), "first, " + std::string(3 << 20, 'x'));
}

TEST_F(FileReaders, LeavesNothingOfADamagedGzipFile) {
  const std::string whole = gzip_of(std::string(100000, 'x') + "end");
  for (size_t size = 2; size < whole.size(); size += 5) {
    const fs::path packed = write("a.gz", whole.substr(0, size));
    const std::string text = refusal([&] { unpack_gzip(packed, folder_.path() / "unpacked"); });
    EXPECT_NE(text.find("cut short"), std::string::npos) << size << ": " << text;
  }
  std::string changed = whole;
  changed[changed.size() - 6] ^= 1;
  const fs::path packed = write("a.gz", changed);
  expect_part(refusal([&] { unpack_gzip(packed, folder_.path() / "unpacked"); }),
              "incorrect data check");
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename(), "a.gz");
    ++files;
  }
  EXPECT_EQ(files, 1);
}

// Lists and layouts

TEST_F(FileReaders, ReadsLinesOfAllKinds) {
  const TextLines lines(write("a.txt", "\xEF\xBB\xBFone 1\r\n\r\n  two\t2  \nthree 3"));
  ASSERT_EQ(lines.lines().size(), 3U);
  EXPECT_EQ(lines.lines()[0].text, "one 1");
  EXPECT_EQ(lines.lines()[1].text, "two\t2");
  EXPECT_EQ(lines.lines()[1].number, 3U);
  EXPECT_EQ(lines.fields(lines.lines()[1], 2, "two"), (std::vector<std::string>{"two", "2"}));
  EXPECT_EQ(refusal([&] { lines.fields(lines.lines()[2], 3, "a name and two numbers"); }),
            "DIR/a.txt:4: is \"three 3\"; expected a name and two numbers");
  EXPECT_EQ(refusal([&] { lines.number(lines.lines()[2], "3x", 0, 9, "a class"); }),
            "DIR/a.txt:4: is \"three 3\"; expected a class from 0 to 9 in place of \"3x\"");
}

TEST_F(FileReaders, RefusesListsThatAreNoText) {
  const fs::path nul = write("a.txt", std::string("ab\0c", 4));
  EXPECT_EQ(refusal([&] { TextLines{nul}; }),
            "DIR/a.txt: has a NUL byte at 2; expected a text file");
  const fs::path blank = write("a.txt", " \n\n");
  EXPECT_EQ(refusal([&] { TextLines{blank}; }), "DIR/a.txt: is empty");
  const fs::path none = folder_.path() / "none.txt";
  EXPECT_EQ(refusal([&] { TextLines{none}; }),
            "DIR/none.txt: cannot be opened: No such file or directory");
  const fs::path twice = write("a.txt", "cat\ndog\ncat\n");
  EXPECT_EQ(refusal([&] { read_class_list(twice); }),
            "DIR/a.txt:3: is \"cat\"; expected a class that no line before names");
}

TEST_F(FileReaders, KeepsPathsOfListsWithinTheFolder) {
  for (const char* name : {"a", "a/b.jpg", "a/..b/c", "…/ü.jpg", "a b.jpg"}) {
    EXPECT_TRUE(stays_within(name)) << name;
  }
  for (const char* name : {"", "/a", "..", "a/..", "../a", "a/../b", "a//b", "./a", "a/"}) {
    EXPECT_FALSE(stays_within(name)) << name;
  }
  EXPECT_FALSE(stays_within(std::string_view("a\0b", 3)));
  EXPECT_FALSE(stays_within(std::string(5000, 'a')));
}

TEST_F(FileReaders, SaysWhereALayoutIsInstead) {
  const LayoutDescription description{"Set", {"set-1"}, "meta/list.txt", "meta/list.txt and so on"};
  write("data/set-1/meta/list.txt", "x");
  EXPECT_EQ(Layout(description, folder_.path() / "data").base(), folder_.path() / "data/set-1");
  EXPECT_EQ(Layout(description, folder_.path() / "data/set-1").base(),
            folder_.path() / "data/set-1");
  const std::string elsewhere = ": set `root` to that. Expected: meta/list.txt and so on";
  EXPECT_EQ(
      refusal([&] { Layout(description, folder_.path()); }),
      "DIR: does not hold Set: no meta/list.txt or set-1/meta/list.txt there, but data. It is "
      "in " +
          (folder_.path() / "data").string() + elsewhere);
  expect_part(refusal([&] { Layout(description, folder_.path() / "data/set-1/meta"); }),
              "It is in " + (folder_.path() / "data/set-1").string() + elsewhere);
  EXPECT_EQ(
      refusal([&] { Layout(description, folder_.path() / "none"); }),
      "DIR/none: no such folder; `root` is the folder that holds Set. Expected: meta/list.txt "
      "and so on");
  const Layout layout(description, folder_.path() / "data");
  EXPECT_EQ(refusal([&] { layout.file("meta/other.txt"); }),
            "DIR/data/set-1/meta/other.txt: no such file; Set needs it, and " +
                (folder_.path() / "data/set-1/meta").string() +
                " holds list.txt. Expected: meta/list.txt and so on");
}

TEST_F(FileReaders, ReadsOnlyRegularFiles) {
  const fs::path pipe = folder_.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(refusal([&] { read_whole_file(pipe, 100); }), "DIR/pipe: is not a file");
  const fs::path file = write("a", "0123456789");
  EXPECT_EQ(refusal([&] { read_whole_file(file, 9); }), "DIR/a: has 10 bytes; at most 9 are read");
  const RandomAccessFile open(file);
  fs::resize_file(file, 4);
  std::string bytes(5, ' ');
  EXPECT_EQ(refusal([&] { open.read(2, bytes.data(), 5); }),
            "DIR/a: ends at byte 4, where bytes up to 7 were expected; was it changed while it was "
            "read?");
}

}  // namespace
}  // namespace bissl::host::test
