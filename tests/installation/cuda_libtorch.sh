#!/usr/bin/env bash
# Compiles and links everything against a LibTorch with CUDA, on a machine without a GPU and without
# installing anything: LibTorch 2.6 of Debian 13's contrib is downloaded (0.5 GB) and unpacked (1.5 GB).
# What it builds is not run: that needs a GPU, its driver and the libraries of CUDA 12 and cuDNN 9.
# tests/gpu/run is for a machine that has them.
#
#     cuda_libtorch.sh SOURCE WORK [TARGET...]
#
# WORK keeps packages and build for the next call. Without targets all is built, tests included. The
# environment may name another DEBIAN_MIRROR, and JOBS.
set -euo pipefail
source_folder=$(cd "${1:?SOURCE, the folder of bissl}" && pwd)
mkdir -p "${2:?WORK, a folder for packages and build}"
work=$(cd "$2" && pwd)
targets=("${@:3}")
packages=(libtorch-cuda-2.6 libtorch-cuda-dev)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
fail() {
  printf 'cuda_libtorch: %s\n' "$*" >&2
  exit 1
}

[ "$(dpkg --print-architecture)" = amd64 ] || fail "Debian has this LibTorch for amd64 alone"

# An apt of its own, which knows Debian 13's contrib and nothing of this system.
apt=$work/apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s trixie contrib\n' \
  "$mirror" >"$apt/sources.list"
cat >"$apt/apt.conf" <<END
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "root";
END
export APT_CONFIG=$apt/apt.conf

root=$work/root
libraries=$root/usr/lib/x86_64-linux-gnu
if [ ! -e "$root/unpacked" ]; then
  apt-get -q update
  (cd "$work" && apt-get -q download "${packages[@]}")
  rm -rf "$root"
  for package in "${packages[@]}"; do
    dpkg-deb -x "$work/${package}"_*.deb "$root"
  done
  touch "$root/unpacked"
fi
unset APT_CONFIG
for library in torch torch_cpu torch_cuda c10 c10_cuda; do
  [ -e "$libraries/lib$library.so" ] || fail "the packages have no lib$library.so"
done

# The packages' own description of LibTorch asks for an installed CUDA; to compile and link the host's
# code none is needed.
config=$work/cmake/Torch
mkdir -p "$config"
cat >"$config/TorchConfig.cmake" <<END
set(TORCH_INCLUDE_DIRS "$root/usr/include" "$root/usr/include/torch/csrc/api/include")
if(NOT TARGET torch)
  add_library(torch INTERFACE IMPORTED)
  set_target_properties(torch PROPERTIES
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "\${TORCH_INCLUDE_DIRS}"
    INTERFACE_LINK_LIBRARIES "-Wl,--no-as-needed;$libraries/libtorch.so;$libraries/libtorch_cpu.so;\
$libraries/libtorch_cuda.so;$libraries/libc10.so;$libraries/libc10_cuda.so")
endif()
END
cat >"$config/TorchConfigVersion.cmake" <<END
set(PACKAGE_VERSION 2.6.0)
set(PACKAGE_VERSION_COMPATIBLE TRUE)
END

# LibTorch's libraries were linked with younger ones than this system may have, and with CUDA's: what
# they ask of others stays open until they are loaded.
open_ends="-Wl,--allow-shlib-undefined -Wl,--unresolved-symbols=ignore-in-shared-libs"
cmake -S "$source_folder" -B "$work/build" -G Ninja \
  -DCMAKE_BUILD_TYPE=Release -DBISSL_UNITY_BUILD=ON -DTorch_DIR="$config" \
  -DCMAKE_EXE_LINKER_FLAGS="$open_ends" \
  -DCMAKE_SHARED_LINKER_FLAGS="$open_ends" \
  -DCMAKE_MODULE_LINKER_FLAGS="$open_ends"
cmake --build "$work/build" ${JOBS:+-j "$JOBS"} ${targets[@]:+--target "${targets[@]}"}

program=$work/build/bin/bissl
if [ -e "$program" ]; then
  readelf -d "$program" | grep -q 'NEEDED.*libtorch_cuda\.so' ||
    fail "$program is linked without libtorch_cuda.so"
fi
printf 'cuda_libtorch: everything compiles and links against LibTorch 2.6 with CUDA\n'
