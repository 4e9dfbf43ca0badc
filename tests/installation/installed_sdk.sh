#!/usr/bin/env bash
# Installs the build to a temporary folder; against that, builds and tests an example of sdk/examples
# and a new project, makes a project of each kind, and tries what a user may get wrong. With `others`:
# builds and tests all other examples and projects instead.
#
#     installed_sdk.sh SOURCE BUILD [others]
set -euo pipefail
source_folder=$1
build_folder=$2
others=${3:-}
# What the default test builds: each project takes a configuration, a compilation and two tests.
first_example=vicreg
first_kind=optimizer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  printf 'installed_sdk: %s\n' "$*" >&2
  exit 1
}

cmake --install "$build_folder" --prefix "$work/installed" >"$work/install.log" ||
  fail "the installation failed: $(cat "$work/install.log")"
program=$work/installed/bin/bissl
export CMAKE_PREFIX_PATH=$work/installed
export XDG_DATA_HOME=$work/data
# What is tested is that it builds, not how long that takes.
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

# build NAME: configures, builds and tests the project in $work/NAME.
build() {
  local log=$work/$1.log
  {
    cmake -S "$work/$1" -B "$work/$1/build" -G Ninja &&
      cmake --build "$work/$1/build" &&
      ctest --test-dir "$work/$1/build" --output-on-failure
  } >"$log" 2>&1 || fail "$1: $(tail -n 60 "$log")"
  printf '%s: builds, conforms, runs\n' "$1"
}

"$program" --version
[ "$("$program" plugins --json | grep -c "$work/installed/lib/bissl/plugins/")" -gt 10 ] ||
  fail "the installed program does not find its own plugins"

# Whether the project NAME, of which FIRST is built by default, is to be built.
wanted() {
  if [ -n "$others" ]; then [ "$1" != "$2" ]; else [ "$1" = "$2" ]; fi
}

for example in "$source_folder"/sdk/examples/*/; do
  name=$(basename "$example")
  lines=$(cat "$example"*.cpp | wc -l)
  [ "$lines" -le 200 ] || fail "example $name has $lines lines; it should stay within 200"
  if wanted "$name" "$first_example"; then
    cp -r "$example" "$work/$name"
    build "$name"
  fi
done

for kind in dataset augmentation transform backbone pretext downstream hypergradient optimizer; do
  "$program" new "$kind" "my-$kind" --in "$work" >/dev/null
  if wanted "$kind" "$first_kind"; then
    build "my-$kind"
  fi
done
[ -z "$others" ] || exit 0

# Under the version of the library before, what that one has trained would be found and nothing tested.
runs=$work/my-$first_kind/build/runs
[ -d "$runs" ] || fail "the test of my-$first_kind leaves no runs in $runs"
rm "$work/my-$first_kind/build/plugins/my-$first_kind.so"
cmake --build "$work/my-$first_kind/build" >"$work/again.log" 2>&1 ||
  fail "my-$first_kind does not build again: $(tail -n 60 "$work/again.log")"
[ ! -e "$runs" ] || fail "my-$first_kind is built again, and $runs has stages of the library before"

# A second call must not touch what is there, and names are checked before anything is written.
expect_refusal() {
  local words=$1 message
  shift
  if message=$("$@" 2>&1); then fail "accepted: $*"; fi
  case $message in *"$words"*) ;; *) fail "$*: expected \"$words\", found: $message" ;; esac
}
expect_refusal "exists already; nothing was written" "$program" new pretext my-pretext --in "$work"
expect_refusal "there is no kind \"losses\"" "$program" new losses x --in "$work"
expect_refusal "cannot be a component's name" "$program" new pretext My_Loss --in "$work"
expect_refusal "the pretext \"simclr\" exists already" "$program" new pretext simclr --in "$work"

# A plugin that the program would refuse fails its build, with the reason.
mkdir "$work/refused"
cat >"$work/refused/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(refused LANGUAGES CXX)
find_package(bissl CONFIG REQUIRED)
bissl_add_plugin(refused refused.cpp)
END
cat >"$work/refused/refused.cpp" <<'END'
#include "bissl/plugin.h"
BISSL_PLUGIN("refused", "1.0.0", "MIT", registrar) { static_cast<void>(registrar); }
END
cmake -S "$work/refused" -B "$work/refused/build" -G Ninja >"$work/refused.log" 2>&1
expect_refusal "step register, code no_components" cmake --build "$work/refused/build"

# Symbols: a plugin exports its entry and nothing else of its own.
# Weak ones are templates of the standard library and LibTorch, B and D the linker's own marks.
exported=$(nm -D --defined-only "$work/vicreg/build/plugins/vicreg.so" |
  awk '$2 == "T" || $2 == "R" {print $3}')
[ "$exported" = bissl_plugin_entry ] || fail "vicreg.so exports: $exported"

# Libraries are looked for in no current folder, wherever the files come from: the installation, the
# plugins above, and a project with a library of its own that is installed as well.
mkdir "$work/shelf"
cat >"$work/shelf/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(shelf LANGUAGES CXX)
find_package(bissl CONFIG REQUIRED)
add_library(board SHARED board.cpp)
add_library(screws INTERFACE)
target_link_libraries(screws INTERFACE board)
bissl_add_plugin(shelf shelf.cpp)
target_link_libraries(shelf PRIVATE screws)
install(TARGETS shelf board LIBRARY DESTINATION lib/bissl/plugins)
enable_testing()
bissl_add_conformance_test(shelf)
bissl_add_conformance_test(shelf --set momentum=0.5)
END
cp "$work/my-optimizer/my_optimizer.cpp" "$work/shelf/shelf.cpp"
cat >>"$work/shelf/shelf.cpp" <<'END'
int board();
const int shelf = board();
END
echo 'int board() { return 1; }' >"$work/shelf/board.cpp"
sed -i 's/BISSL_PLUGIN("my-optimizer"/BISSL_PLUGIN("shelf"/' "$work/shelf/shelf.cpp"
{
  cmake -S "$work/shelf" -B "$work/shelf/build" -G Ninja -DCMAKE_BUILD_TYPE=Release &&
    cmake --build "$work/shelf/build" &&
    cmake --install "$work/shelf/build" --prefix "$work/shelves"
} >"$work/shelf.log" 2>&1 || fail "shelf: $(tail -n 60 "$work/shelf.log")"
# Each call is a test, with other values than the defaults too.
[ "$(ctest --test-dir "$work/shelf/build" -N | grep -c ': conform_shelf')" = 2 ] ||
  fail "two conformance tests of one plugin are $(ctest --test-dir "$work/shelf/build" -N)"
expect_refusal 'INSTALL_RPATH (CMAKE_INSTALL_RPATH) has "libraries"' \
  cmake -S "$work/shelf" -B "$work/shelf/build2" -G Ninja "-DCMAKE_INSTALL_RPATH=libraries"
"$source_folder/tests/installation/runpath.sh" "$work"
for path in "" : libraries '$ORIGIN:' '/usr/lib::/lib'; do
  cc -shared -Wl,-rpath,"$path" -o "$work/bad.so" -x c - <<<'int f(void) { return 1; }'
  [ -z "$path" ] || expect_refusal "has [$path]" "$source_folder/tests/installation/runpath.sh" "$work"
done
