#pragma once

/// Marks what libbissl_sdk.so offers; everything else in the project is compiled with hidden
/// visibility.
#define BISSL_API __attribute__((visibility("default")))
