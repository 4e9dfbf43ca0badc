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

# A shared library, whose classes depend on the macros that it was built with.
find_package(PkgConfig REQUIRED)
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
# From 0.18 on its header calls OpenSSL, where it was built with it; what it links with is private.
if("${HTTPLIB_CFLAGS_OTHER}" MATCHES "CPPHTTPLIB_OPENSSL_SUPPORT")
  find_package(OpenSSL REQUIRED)
  target_link_libraries(PkgConfig::HTTPLIB INTERFACE OpenSSL::Crypto)
endif()

# Image formats. CMake 3.25 has no module for WebP, and neither Debian's libspng nor its libwebp brings
# one.
find_package(JPEG REQUIRED)
find_package(TIFF 4.5 REQUIRED)
find_package(GIF 5 REQUIRED)
find_path(SPNG_INCLUDE_DIR spng.h REQUIRED)
find_library(SPNG_LIBRARY spng REQUIRED)
find_path(WEBP_INCLUDE_DIR webp/decode.h REQUIRED)
find_library(WEBP_LIBRARY webp REQUIRED)
find_library(WEBPDEMUX_LIBRARY webpdemux REQUIRED)
mark_as_advanced(SPNG_INCLUDE_DIR SPNG_LIBRARY WEBP_INCLUDE_DIR WEBP_LIBRARY WEBPDEMUX_LIBRARY)
if(BISSL_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
