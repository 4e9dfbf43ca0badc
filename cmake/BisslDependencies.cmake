# Everything that bissl needs from outside. docs/dependencies.md says what each is for.

# Debian's and upstream's TorchConfig set this variable for the whole project; keep ours.
find_package(Torch REQUIRED)
if(Torch_VERSION AND Torch_VERSION VERSION_LESS 1.13)
  message(FATAL_ERROR "LibTorch ${Torch_VERSION} is too old: bissl needs 1.13 or newer. "
                      "Point CMAKE_PREFIX_PATH at another one.")
endif()
find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
find_library(XXHASH_LIBRARY xxhash REQUIRED)
if(BISSL_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
