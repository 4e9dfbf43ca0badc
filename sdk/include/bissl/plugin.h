#pragma once

#include "bissl/abi.h"
#include "bissl/export.h"
#include "bissl/parameters.h"
#include "bissl/targets.h"

#include <fmt/format.h>
#include <torch/version.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bissl {

class Dataset;
class Augmentation;
class Transform;
class Backbone;
class Pretext;
class Downstream;
class Hypergradient;
class Optimizer;
struct DatasetContext;
struct AugmentationContext;
struct TransformContext;
struct BackboneContext;
struct PretextContext;
struct DownstreamContext;
struct HypergradientContext;
struct OptimizerContext;

/// The kinds of component.
enum class ComponentKind {
  dataset,
  augmentation,
  backbone,
  pretext,
  downstream,
  hypergradient,
  optimizer,
  transform,
};

/// The kind's name as in the enumeration.
BISSL_API std::string to_string(ComponentKind kind);

namespace detail {

template <ComponentKind Kind, class FactoryContext>
struct KindAndContext {
  static constexpr ComponentKind kind = Kind;
  using Context = FactoryContext;
};

}  // namespace detail

/// Binds an interface to its kind and to what its factory is given.
template <class Interface>
struct KindOf;
template <>
struct KindOf<Dataset> : detail::KindAndContext<ComponentKind::dataset, DatasetContext> {};
template <>
struct KindOf<Augmentation>
    : detail::KindAndContext<ComponentKind::augmentation, AugmentationContext> {};
template <>
struct KindOf<Transform> : detail::KindAndContext<ComponentKind::transform, TransformContext> {};
template <>
struct KindOf<Backbone> : detail::KindAndContext<ComponentKind::backbone, BackboneContext> {};
template <>
struct KindOf<Pretext> : detail::KindAndContext<ComponentKind::pretext, PretextContext> {};
template <>
struct KindOf<Downstream> : detail::KindAndContext<ComponentKind::downstream, DownstreamContext> {};
template <>
struct KindOf<Hypergradient>
    : detail::KindAndContext<ComponentKind::hypergradient, HypergradientContext> {};
template <>
struct KindOf<Optimizer> : detail::KindAndContext<ComponentKind::optimizer, OptimizerContext> {};

/// What a component says of itself.
struct ComponentText {
  std::string name;     ///< the word after `use =`: [a-z0-9-]+
  std::string summary;  ///< one line
  std::string source;   ///< the paper and equation of its formula, or empty
  /// The kinds of target that a task takes: the host never makes it for data with others.
  /// Downstream tasks take at least one; pretext tasks none, unless they learn from targets, and
  /// `none` among others where they also work without. Nothing for other kinds of component.
  std::vector<TargetKind> takes{};
  /// Names that it had in earlier versions: pipelines that use one are refused with `name`.
  std::vector<std::string> formerly{};
};

/// A component as the host keeps it, its C++ types erased.
struct ComponentInfo {
  /// Which interface it implements.
  ComponentKind kind = ComponentKind::dataset;
  /// What it says of itself.
  ComponentText text;
  /// The declaration of its options, in their order.
  std::vector<ParameterSpec> parameters;
  /// The component's own rules over valid values.
  std::function<std::vector<Finding>(const ParameterValues&)> check;
  /// Makes an instance: a std::shared_ptr<Interface> behind void; `context` points to the
  /// interface's Context.
  std::function<std::shared_ptr<void>(const ParameterValues&, const void* context)> create;
};

namespace detail {

/// An instance, from as much as its constructor takes.
template <class Implementation, class Options, class Context>
std::shared_ptr<Implementation> construct(const Options& options, const Context& context) {
  if constexpr (std::is_constructible_v<Implementation, const Options&, const Context&>) {
    return std::make_shared<Implementation>(options, context);
  } else if constexpr (std::is_constructible_v<Implementation, const Options&>) {
    return std::make_shared<Implementation>(options);
  } else {
    static_assert(std::is_empty_v<Options>,
                  "options are declared that the constructor does not take");
    if constexpr (std::is_constructible_v<Implementation, const Context&>) {
      return std::make_shared<Implementation>(context);
    } else {
      return std::make_shared<Implementation>();
    }
  }
}

}  // namespace detail

/// Handed by the host to a library's registration function.
class BISSL_API Registrar {
 public:
  virtual ~Registrar();

  /// Registers a component. Throws Error for a declaration with faults, and for a name that the
  /// library used before for this kind. A name that another library has: the component is left out.
  virtual void add(ComponentInfo info) = 0;

  /// Registers a component of kind `Interface` with options of type `Options`. The factory is
  /// called as factory(const Options&, const Context&) and returns a std::shared_ptr<Interface>.
  template <class Interface, class Options, class Factory>
  void add(ComponentText text, Schema<Options> schema, Factory factory) {
    ComponentInfo info;
    info.kind = KindOf<Interface>::kind;
    info.text = std::move(text);
    info.parameters = schema.specs();
    info.check = [schema](const ParameterValues& values) { return schema.check(values); };
    info.create = [schema, factory](const ParameterValues& values, const void* context) {
      using Context = typename KindOf<Interface>::Context;
      std::shared_ptr<Interface> made =
          factory(schema.parse(values), *static_cast<const Context*>(context));
      return std::static_pointer_cast<void>(std::move(made));
    };
    add(std::move(info));
  }

  /// Registers `Implementation`, a class that is constructed from its options and its context:
  /// Implementation(const Options&, const Context&); the constructor may leave out either, the
  /// options only if none are declared.
  ///
  ///     registrar.add<Optimizer, Sgd>({.name = "sgd", .summary = "…"}, schema());
  template <class Interface, class Implementation, class Options>
  void add(ComponentText text, Schema<Options> schema) {
    using Context = typename KindOf<Interface>::Context;
    add<Interface>(std::move(text), std::move(schema),
                   [](const Options& options, const Context& context) {
                     return detail::construct<Implementation>(options, context);
                   });
  }
};

/// For components without parameters.
struct NoOptions {};

namespace detail {

inline void copy_text(const char* text, char* buffer, uint64_t size) {
  if (size > 0) {
    const std::string whole = text;
    whole.copy(buffer, size - 1);
    buffer[whole.size() < size - 1 ? whole.size() : size - 1] = '\0';
  }
}

template <class Register>
int register_guarded(Register function, void* registrar, char* error, uint64_t size) noexcept {
  try {
    function(*static_cast<Registrar*>(registrar));
    return 0;
  } catch (const std::exception& exception) {
    copy_text(exception.what(), error, size);
  } catch (...) {
    copy_text("an exception that is not a std::exception", error, size);
  }
  return 1;
}

}  // namespace detail
}  // namespace bissl

#if defined(__SANITIZE_ADDRESS__)
#define BISSL_DETAIL_ASAN BISSL_BUILD_ADDRESS_SANITIZER
#else
#define BISSL_DETAIL_ASAN 0u
#endif
#if defined(__SANITIZE_THREAD__)
#define BISSL_DETAIL_TSAN BISSL_BUILD_THREAD_SANITIZER
#else
#define BISSL_DETAIL_TSAN 0u
#endif
#if defined(_GLIBCXX_DEBUG)
#define BISSL_DETAIL_DEBUG BISSL_BUILD_DEBUG_STDLIB
#else
#define BISSL_DETAIL_DEBUG 0u
#endif
#if defined(__clang__)
#define BISSL_DETAIL_COMPILER "clang"
#define BISSL_DETAIL_COMPILER_VERSION __clang_major__
#else
#define BISSL_DETAIL_COMPILER "gcc"
#define BISSL_DETAIL_COMPILER_VERSION __GNUC__
#endif
#if defined(_LIBCPP_VERSION)
#define BISSL_DETAIL_STDLIB "libc++"
#define BISSL_DETAIL_CXX11_ABI 1
#else
#define BISSL_DETAIL_STDLIB "libstdc++"
#define BISSL_DETAIL_CXX11_ABI _GLIBCXX_USE_CXX11_ABI
#endif

/// The stamp of whatever is compiled with these headers.
#define BISSL_STAMP(plugin_name, plugin_version, plugin_license, register_function)                \
  BisslPluginStamp {                                                                               \
    sizeof(BisslPluginStamp), BISSL_STAMP_MAGIC, BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR, \
        TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, BISSL_DETAIL_CXX11_ABI, __GXX_ABI_VERSION,       \
        BISSL_DETAIL_DEBUG | BISSL_DETAIL_ASAN | BISSL_DETAIL_TSAN, BISSL_DETAIL_COMPILER_VERSION, \
        BISSL_DETAIL_COMPILER, BISSL_DETAIL_STDLIB, plugin_name, plugin_version, plugin_license,   \
        register_function                                                                          \
  }

/// Makes a library a plugin. Occurs once in each library, followed by the body of the function
/// that registers its components:
///
///     BISSL_PLUGIN("my-plugin", "1.0.0", "MIT", registrar) {
///       registrar.add<bissl::Hypergradient, ConjugateGradient>({...}, schema());
///     }
#define BISSL_PLUGIN(plugin_name, plugin_version, plugin_license, registrar)                       \
  static void bissl_register_components(bissl::Registrar& registrar);                              \
  static int bissl_register_guarded(void* host, char* error, uint64_t size) {                      \
    return bissl::detail::register_guarded(bissl_register_components, host, error, size);          \
  }                                                                                                \
  extern "C" __attribute__((visibility("default"))) const BisslPluginStamp* bissl_plugin_entry() { \
    static const BisslPluginStamp stamp =                                                          \
        BISSL_STAMP(plugin_name, plugin_version, plugin_license, bissl_register_guarded);          \
    return &stamp;                                                                                 \
  }                                                                                                \
  static void bissl_register_components(bissl::Registrar& registrar)
