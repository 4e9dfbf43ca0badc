/* The C stamp with which a plugin library introduces itself.
 *
 * The host reads it before it calls any C++ of the library. The struct is plain C, is never
 * reordered and only ever grows at its end; `struct_size` tells how much of it a library filled. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "BSSL" read as a little-endian number. */
#define BISSL_STAMP_MAGIC 0x4C535342u

/* The version of these headers. A plugin works with hosts of the same major number whose minor
 * number is not lower: a minor version adds, and changes nothing that is there
 * (docs/plugin-boundary.md). The patch number adds nothing either. */
#define BISSL_SDK_VERSION_MAJOR 2
#define BISSL_SDK_VERSION_MINOR 0
#define BISSL_SDK_VERSION_PATCH 0

/* Bits of BisslPluginStamp::build_flags. All of them change the layout of objects that cross the
 * boundary, so host and plugin must agree. */
#define BISSL_BUILD_DEBUG_STDLIB 1u      /* _GLIBCXX_DEBUG and its like */
#define BISSL_BUILD_ADDRESS_SANITIZER 2u /* -fsanitize=address */
#define BISSL_BUILD_THREAD_SANITIZER 4u  /* -fsanitize=thread */

/* Registers the library's components with `registrar` (a bissl::Registrar*). Returns 0 on success;
 * otherwise writes the reason, null-terminated and cut to `error_size`, into `error`. Lets no
 * exception escape. */
typedef int (*BisslRegisterFunction)(void* registrar, char* error, uint64_t error_size);

typedef struct BisslPluginStamp {
  uint32_t struct_size;
  uint32_t magic;
  uint32_t sdk_major;
  uint32_t sdk_minor;
  uint32_t torch_major;
  uint32_t torch_minor;
  uint32_t cxx11_abi;        /* _GLIBCXX_USE_CXX11_ABI */
  uint32_t cxx_abi_version;  /* __GXX_ABI_VERSION: recorded, its compatible values differ */
  uint32_t build_flags;      /* BISSL_BUILD_… */
  uint32_t compiler_version; /* major version, recorded */
  const char* compiler;      /* "gcc" or "clang", recorded */
  const char* stdlib;        /* "libstdc++" or "libc++" */
  const char* name;          /* the plugin's name, [a-z0-9-]+ */
  const char* version;
  const char* license; /* an SPDX identifier */
  BisslRegisterFunction register_components;
} BisslPluginStamp;

/* The one symbol that a plugin library exports. */
#define BISSL_ENTRY_SYMBOL "bissl_plugin_entry"
typedef const BisslPluginStamp* (*BisslEntryFunction)(void);

#ifdef __cplusplus
}
#endif
