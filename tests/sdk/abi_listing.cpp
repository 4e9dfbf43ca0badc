// Prints what compiled plugins rest on in the sdk's headers: sizes, places of members, places and
// signatures of virtual functions, enumerators, identifiers. Compiled once with the headers of 2.0
// and once with today's; growth_test compares. A line is "kind<tab>name<tab>value". Of
// bissl/modules.h nothing is here: all of it is compiled into the plugins that include it.

#include "bissl/abi.h"
#include "bissl/augmentation.h"
#include "bissl/autocast.h"
#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/batch.h"
#include "bissl/batch_coupling.h"
#include "bissl/batch_transform.h"
#include "bissl/component.h"
#include "bissl/crops.h"
#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/dataset.h"
#include "bissl/divided_batch.h"
#include "bissl/downstream.h"
#include "bissl/downstream_abilities.h"
#include "bissl/error.h"
#include "bissl/file_sequence.h"
#include "bissl/hash.h"
#include "bissl/hypergradient.h"
#include "bissl/image.h"
#include "bissl/image_operations.h"
#include "bissl/implicit_system.h"
#include "bissl/layers.h"
#include "bissl/linear_system.h"
#include "bissl/minres.h"
#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "bissl/optimizer_state.h"
#include "bissl/parameters.h"
#include "bissl/planned_view.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"
#include "bissl/random.h"
#include "bissl/recomputed.h"
#include "bissl/sample_names.h"
#include "bissl/system_abilities.h"
#include "bissl/target_batch.h"
#include "bissl/targets.h"
#include "bissl/teacher.h"
#include "bissl/tensor_list.h"
#include "bissl/transform.h"
#include "bissl/transform_abilities.h"
#include "bissl/value.h"
#include "bissl/view_geometry.h"
#include "bissl/views.h"

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

// Members of classes that are no plain structures have fixed places, too.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace bissl {
namespace {

void line(const char* kind, const std::string& name, const std::string& value) {
  std::printf("%s\t%s\t%s\n", kind, name.c_str(), value.c_str());
}

/// The type in the compiler's words.
template <class T>
std::string type_name() {
  const std::string_view all = __PRETTY_FUNCTION__;
  const size_t begin = all.find("T = ") + 4;
  return std::string(all.substr(begin, all.find_first_of(";]", begin) - begin));
}

/// The place of a virtual function in the table: a pointer to it holds that, plus 1 (Itanium C++
/// ABI, section 2.3).
template <class Function>
size_t slot_of(Function function) {
  size_t place = 0;
  std::memcpy(&place, &function, sizeof(place));
  return (place - 1) / sizeof(void*);
}

/// How many virtual functions a class has: the place of one more.
template <class T>
size_t slots() {
  struct Probe : T {
    virtual void one_more() {}
  };
  return slot_of(&Probe::one_more);
}

std::string text(size_t number) { return std::to_string(number); }

#define SIZE(T) line("size of", #T, text(sizeof(T)) + ", alignment " + text(alignof(T)))
/// For structures that the host makes and that may get members at their end.
#define GROWS(T) line("alignment of", #T, text(alignof(T)))
#define MEMBER(T, name) \
  line("member", #T "::" #name, text(offsetof(T, name)) + ", " + type_name<decltype(T::name)>())
#define VIRTUAL(T, name)                  \
  line("virtual function", #T "::" #name, \
       text(slot_of(&T::name)) + ", " + type_name<decltype(&T::name)>())
#define SLOTS(T) line("virtual functions of", #T, text(slots<T>()))
/// A function outside of classes: its name in the library does not say what it returns.
#define FUNCTION(name) line("function", #name, type_name<decltype(&name)>())
#define ENUMERATOR(E, name) line("enumerator", #E "::" #name, text(size_t(E::name)))
#define ABILITY(T)                               \
  line("identifier of", #T, std::string(T::id)); \
  SIZE(T)

/// Opens what a step of a chain implements.
template <class T>
struct Opened : T {
  static auto maker() {
    if constexpr (std::is_same_v<T, PlaneTransform>) {
      return &Opened::change;
    } else {
      return &Opened::make;
    }
  }
};

template <class T>
void list_step(const std::string& name) {
  line("virtual function", name + "::make or change",
       text(slot_of(Opened<T>::maker())) + ", " + type_name<decltype(Opened<T>::maker())>());
}

void list_components() {
  VIRTUAL(Component, capability);
  SLOTS(Component);
  SIZE(Component);
  VIRTUAL(Dataset, size);
  VIRTUAL(Dataset, get);
  VIRTUAL(Dataset, target);
  VIRTUAL(Dataset, targets);
  VIRTUAL(Dataset, fingerprint);
  SLOTS(Dataset);
  SIZE(Dataset);
  VIRTUAL(Augmentation, view_shape);
  VIRTUAL(Augmentation, apply);
  VIRTUAL(Augmentation, takes);
  SLOTS(Augmentation);
  SIZE(Augmentation);
  VIRTUAL(Transform, form);
  VIRTUAL(Transform, output_shape);
  VIRTUAL(Transform, apply);
  VIRTUAL(Transform, takes);
  SLOTS(Transform);
  SIZE(Transform);
  VIRTUAL(BatchTransform, form);
  VIRTUAL(BatchTransform, apply);
  SLOTS(BatchTransform);
  SIZE(BatchTransform);
  list_step<PixelTransform>("PixelTransform");
  list_step<PlaneMaker>("PlaneMaker");
  list_step<PlaneTransform>("PlaneTransform");
  list_step<PlaneReshaper>("PlaneReshaper");
  VIRTUAL(Backbone, forward);
  VIRTUAL(Backbone, features);
  VIRTUAL(Backbone, module);
  SLOTS(Backbone);
  SIZE(Backbone);
}

void list_tasks() {
  VIRTUAL(Pretext, views);
  VIRTUAL(Pretext, coupling);
  VIRTUAL(Pretext, reads_geometry);
  VIRTUAL(Pretext, holds_targets_fixed);
  VIRTUAL(Pretext, loss);
  VIRTUAL(Pretext, before_step);
  VIRTUAL(Pretext, after_step);
  VIRTUAL(Pretext, module);
  SLOTS(Pretext);
  SIZE(Pretext);
  VIRTUAL(Downstream, forward);
  VIRTUAL(Downstream, loss);
  VIRTUAL(Downstream, metric_info);
  VIRTUAL(Downstream, metrics);
  VIRTUAL(Downstream, module);
  SLOTS(Downstream);
  SIZE(Downstream);
  VIRTUAL(MetricAccumulator, add);
  VIRTUAL(MetricAccumulator, result);
  SLOTS(MetricAccumulator);
  SIZE(MetricAccumulator);
  VIRTUAL(Hypergradient, solve);
  VIRTUAL(Hypergradient, needs);
  SLOTS(Hypergradient);
  SIZE(Hypergradient);
  VIRTUAL(ImplicitSystem, hessian_product);
  VIRTUAL(ImplicitSystem, gradient);
  VIRTUAL(ImplicitSystem, parameters);
  VIRTUAL(ImplicitSystem, parameter_names);
  VIRTUAL(ImplicitSystem, weight);
  VIRTUAL(ImplicitSystem, id);
  SLOTS(ImplicitSystem);
  SIZE(ImplicitSystem);
  VIRTUAL(Optimizer, step);
  VIRTUAL(Optimizer, learning_rate);
  VIRTUAL(Optimizer, state);
  VIRTUAL(Optimizer, load_state);
  SLOTS(Optimizer);
  SIZE(Optimizer);
  line("virtual function", "Registrar::add",
       text(slot_of(static_cast<void (Registrar::*)(ComponentInfo)>(&Registrar::add))));
  SLOTS(Registrar);
  SIZE(Registrar);
}

void list_abilities() {
  ABILITY(FeatureMaps);
  VIRTUAL(FeatureMaps, map_levels);
  VIRTUAL(FeatureMaps, maps);
  SLOTS(FeatureMaps);
  ABILITY(Tokens);
  VIRTUAL(Tokens, patch);
  VIRTUAL(Tokens, token_width);
  VIRTUAL(Tokens, extra_tokens);
  VIRTUAL(Tokens, tokens);
  SLOTS(Tokens);
  ABILITY(LayerDepths);
  VIRTUAL(LayerDepths, depths);
  VIRTUAL(LayerDepths, depth_of);
  SLOTS(LayerDepths);
  ABILITY(MapHead);
  VIRTUAL(MapHead, forward_maps);
  SLOTS(MapHead);
  ABILITY(TokenHead);
  VIRTUAL(TokenHead, forward_tokens);
  SLOTS(TokenHead);
  ABILITY(LossCoupling);
  VIRTUAL(LossCoupling, coupling);
  SLOTS(LossCoupling);
  ABILITY(DataFiles);
  VIRTUAL(DataFiles, data_files);
  SLOTS(DataFiles);
  ABILITY(DataNotes);
  VIRTUAL(DataNotes, notes);
  SLOTS(DataNotes);
  ABILITY(FileSequence);
  VIRTUAL(FileSequence, file_count);
  VIRTUAL(FileSequence, data_file);
  SLOTS(FileSequence);
  ABILITY(SampleNames);
  VIRTUAL(SampleNames, sample_name);
  SLOTS(SampleNames);
  ABILITY(PlaneValues);
  VIRTUAL(PlaneValues, takes_unit_values);
  VIRTUAL(PlaneValues, leaves_unit_values);
  SLOTS(PlaneValues);
  ABILITY(BatchViews);
  VIRTUAL(BatchViews, change);
  SLOTS(BatchViews);
  ABILITY(PlannedViews);
  VIRTUAL(PlannedViews, plan);
  SLOTS(PlannedViews);
  ABILITY(PlannedStep);
  VIRTUAL(PlannedStep, plan);
  SLOTS(PlannedStep);
  ABILITY(HypergradientState);
  VIRTUAL(HypergradientState, state);
  VIRTUAL(HypergradientState, load_state);
  SLOTS(HypergradientState);
  ABILITY(SystemPreconditioner);
  VIRTUAL(SystemPreconditioner, preconditioner);
  SLOTS(SystemPreconditioner);
  ABILITY(RecordedSteps);
  VIRTUAL(RecordedSteps, recorded_steps);
  SLOTS(RecordedSteps);
  ABILITY(FreshBatches);
  VIRTUAL(FreshBatches, fresh_system);
  SLOTS(FreshBatches);
  ABILITY(LayerGradients);
  VIRTUAL(LayerGradients, layer_gradients);
  SLOTS(LayerGradients);
  ABILITY(OptimizerMomentum);
  VIRTUAL(OptimizerMomentum, momentum);
  SLOTS(OptimizerMomentum);
  ABILITY(OptimizerMomentumSetting);
  VIRTUAL(OptimizerMomentumSetting, momentum);
  VIRTUAL(OptimizerMomentumSetting, set_momentum);
  SLOTS(OptimizerMomentumSetting);
  ABILITY(OptimizerPreconditioner);
  VIRTUAL(OptimizerPreconditioner, preconditioner);
  SLOTS(OptimizerPreconditioner);
  ABILITY(OptimizerWeightDecay);
  VIRTUAL(OptimizerWeightDecay, weight_decay);
  VIRTUAL(OptimizerWeightDecay, set_weight_decay);
  SLOTS(OptimizerWeightDecay);
}

/// What the host makes and hands over by reference.
void list_what_grows() {
  GROWS(Batch);
  MEMBER(Batch, views);
  MEMBER(Batch, targets);
  MEMBER(Batch, geometry);
  MEMBER(Batch, indices);
  GROWS(BatchDraws);
  MEMBER(BatchDraws, samples);
  GROWS(TrainingProgress);
  MEMBER(TrainingProgress, step);
  MEMBER(TrainingProgress, steps);
  GROWS(BackboneContext);
  MEMBER(BackboneContext, input);
  GROWS(PretextContext);
  MEMBER(PretextContext, features);
  MEMBER(PretextContext, views);
  MEMBER(PretextContext, steps);
  MEMBER(PretextContext, samples);
  MEMBER(PretextContext, classes);
  MEMBER(PretextContext, batch);
  MEMBER(PretextContext, hessian_batch);
  MEMBER(PretextContext, make_backbone);
  MEMBER(PretextContext, backbone);
  MEMBER(PretextContext, backbone_name);
  MEMBER(PretextContext, targets);
  GROWS(DownstreamContext);
  MEMBER(DownstreamContext, features);
  MEMBER(DownstreamContext, targets);
  MEMBER(DownstreamContext, input);
  MEMBER(DownstreamContext, backbone);
  MEMBER(DownstreamContext, backbone_name);
  GROWS(OptimizerContext);
  MEMBER(OptimizerContext, parameters);
  GROWS(BisslPluginStamp);
  MEMBER(BisslPluginStamp, struct_size);
  MEMBER(BisslPluginStamp, magic);
  MEMBER(BisslPluginStamp, sdk_major);
  MEMBER(BisslPluginStamp, sdk_minor);
  MEMBER(BisslPluginStamp, torch_major);
  MEMBER(BisslPluginStamp, torch_minor);
  MEMBER(BisslPluginStamp, cxx11_abi);
  MEMBER(BisslPluginStamp, cxx_abi_version);
  MEMBER(BisslPluginStamp, build_flags);
  MEMBER(BisslPluginStamp, compiler_version);
  MEMBER(BisslPluginStamp, compiler);
  MEMBER(BisslPluginStamp, stdlib);
  MEMBER(BisslPluginStamp, name);
  MEMBER(BisslPluginStamp, version);
  MEMBER(BisslPluginStamp, license);
  MEMBER(BisslPluginStamp, register_components);
}

void list_data() {
  SIZE(ImageShape);
  MEMBER(ImageShape, channels);
  MEMBER(ImageShape, height);
  MEMBER(ImageShape, width);
  SIZE(Image);
  MEMBER(Image, shape);
  MEMBER(Image, pixels);
  MEMBER(Image, owner);
  MEMBER(Image, type);
  SIZE(Planes);
  MEMBER(Planes, shape);
  MEMBER(Planes, data);
  SIZE(Sample);
  MEMBER(Sample, image);
  MEMBER(Sample, target);
  SIZE(Target);
  MEMBER(Target, category);
  MEMBER(Target, values);
  MEMBER(Target, mask);
  SIZE(TargetSpec);
  MEMBER(TargetSpec, kind);
  MEMBER(TargetSpec, width);
  MEMBER(TargetSpec, names);
  SIZE(TargetBatch);
  MEMBER(TargetBatch, dense);
  SIZE(DataFile);
  MEMBER(DataFile, name);
  MEMBER(DataFile, path);
  SIZE(ViewGeometry);
  MEMBER(ViewGeometry, xx);
  MEMBER(ViewGeometry, xy);
  MEMBER(ViewGeometry, x0);
  MEMBER(ViewGeometry, yx);
  MEMBER(ViewGeometry, yy);
  MEMBER(ViewGeometry, y0);
  SIZE(Transform::Input);
  MEMBER(Transform::Input, pixels);
  MEMBER(Transform::Input, planes);
  SIZE(Transform::Output);
  MEMBER(Transform::Output, pixels);
  MEMBER(Transform::Output, planes);
  SIZE(Box);
  MEMBER(Box, top);
  MEMBER(Box, left);
  MEMBER(Box, height);
  MEMBER(Box, width);
  SIZE(CropRange);
  MEMBER(CropRange, smallest_area);
  MEMBER(CropRange, largest_area);
  MEMBER(CropRange, smallest_ratio);
  MEMBER(CropRange, largest_ratio);
  SIZE(PlannedAxis);
  MEMBER(PlannedAxis, begin);
  MEMBER(PlannedAxis, length);
  MEMBER(PlannedAxis, resized);
  MEMBER(PlannedAxis, first);
  MEMBER(PlannedAxis, count);
  SIZE(PlannedChange);
  MEMBER(PlannedChange, kind);
  MEMBER(PlannedChange, numbers);
  GROWS(PlannedView);
  SIZE(RandomStream);
  SIZE(Hasher);
  SIZE(Error);
}

void list_models() {
  SIZE(FeatureMaps::Level);
  MEMBER(FeatureMaps::Level, channels);
  MEMBER(FeatureMaps::Level, stride);
  SIZE(Tokens::Patch);
  MEMBER(Tokens::Patch, height);
  MEMBER(Tokens::Patch, width);
  SIZE(PatchSelection);
  MEMBER(PatchSelection, kept);
  MEMBER(PatchSelection, masked);
  MEMBER(PatchSelection, mask_token);
  SIZE(MetricInfo);
  MEMBER(MetricInfo, name);
  MEMBER(MetricInfo, doc);
  MEMBER(MetricInfo, higher_is_better);
  MEMBER(MetricInfo, lowest);
  MEMBER(MetricInfo, highest);
  SIZE(layers::Conv2dGeometry);
  MEMBER(layers::Conv2dGeometry, stride);
  MEMBER(layers::Conv2dGeometry, padding);
  MEMBER(layers::Conv2dGeometry, dilation);
  MEMBER(layers::Conv2dGeometry, groups);
  SIZE(layers::BatchNormState);
  MEMBER(layers::BatchNormState, running_mean);
  MEMBER(layers::BatchNormState, running_var);
  MEMBER(layers::BatchNormState, training);
  MEMBER(layers::BatchNormState, momentum);
  MEMBER(layers::BatchNormState, epsilon);
  SIZE(LayerCall);
  MEMBER(LayerCall, input);
  MEMBER(LayerCall, weight);
  MEMBER(LayerCall, bias);
  MEMBER(LayerCall, output);
  MEMBER(LayerCall, convolution);
  MEMBER(LayerCall, geometry);
  SIZE(LayerRecorder);
  SIZE(StateBuffers);
}

void list_systems() {
  SIZE(HypergradientSolution);
  MEMBER(HypergradientSolution, v);
  MEMBER(HypergradientSolution, status);
  MEMBER(HypergradientSolution, iterations);
  MEMBER(HypergradientSolution, hessian_products);
  MEMBER(HypergradientSolution, gradients);
  MEMBER(HypergradientSolution, relative_residual);
  MEMBER(HypergradientSolution, damping);
  SIZE(SystemCost);
  MEMBER(SystemCost, products);
  MEMBER(SystemCost, gradients);
  SIZE(HypergradientNeeds);
  MEMBER(HypergradientNeeds, solve);
  MEMBER(HypergradientNeeds, shared);
  MEMBER(HypergradientNeeds, steps);
  MEMBER(HypergradientNeeds, fresh);
  MEMBER(HypergradientNeeds, lower_steps);
  MEMBER(HypergradientNeeds, fresh_batches);
  MEMBER(HypergradientNeeds, abilities);
  SIZE(LowerStep);
  MEMBER(LowerStep, learning_rate);
  MEMBER(LowerStep, momentum);
  MEMBER(LowerStep, preconditioner);
  MEMBER(LowerStep, system);
  SIZE(LayerGradient);
  MEMBER(LayerGradient, weight);
  MEMBER(LayerGradient, bias);
  MEMBER(LayerGradient, input);
  MEMBER(LayerGradient, output_gradient);
  MEMBER(LayerGradient, convolution);
  MEMBER(LayerGradient, geometry);
  SIZE(MinresResult);
  MEMBER(MinresResult, x);
  MEMBER(MinresResult, iterations);
  MEMBER(MinresResult, relative_residual);
  MEMBER(MinresResult, converged);
  MEMBER(MinresResult, finite);
  SIZE(ProductOptions);
  MEMBER(ProductOptions, products);
  MEMBER(ProductOptions, difference_step);
  SIZE(SystemOptions);
  MEMBER(SystemOptions, damping);
  MEMBER(SystemOptions, product);
  SIZE(HessianProducts);
  SIZE(LinearSystem);
  SIZE(WarmStart);
}

void list_declarations() {
  SIZE(ComponentText);
  MEMBER(ComponentText, name);
  MEMBER(ComponentText, summary);
  MEMBER(ComponentText, source);
  MEMBER(ComponentText, takes);
  MEMBER(ComponentText, formerly);
  SIZE(ComponentInfo);
  MEMBER(ComponentInfo, kind);
  MEMBER(ComponentInfo, text);
  MEMBER(ComponentInfo, parameters);
  MEMBER(ComponentInfo, check);
  MEMBER(ComponentInfo, create);
  SIZE(EffectCondition);
  MEMBER(EffectCondition, relation);
  MEMBER(EffectCondition, parameters);
  MEMBER(EffectCondition, values);
  SIZE(ParameterSpec);
  MEMBER(ParameterSpec, name);
  MEMBER(ParameterSpec, type);
  MEMBER(ParameterSpec, default_value);
  MEMBER(ParameterSpec, required);
  MEMBER(ParameterSpec, doc);
  MEMBER(ParameterSpec, unit);
  MEMBER(ParameterSpec, minimum);
  MEMBER(ParameterSpec, maximum);
  MEMBER(ParameterSpec, minimum_excluded);
  MEMBER(ParameterSpec, maximum_excluded);
  MEMBER(ParameterSpec, choices);
  MEMBER(ParameterSpec, length);
  MEMBER(ParameterSpec, only_with);
  MEMBER(ParameterSpec, traits);
  SIZE(Finding);
  MEMBER(Finding, severity);
  MEMBER(Finding, parameter);
  MEMBER(Finding, message);
  SIZE(ParameterBuilder);
  line("type", "Value", type_name<Value>());
  line("type", "ParameterValues", type_name<ParameterValues>());
  line("type", "NamedTensors", type_name<NamedTensors>());
  line("type", "Metrics", type_name<Metrics>());
  SIZE(NamedTensor);
  MEMBER(NamedTensor, name);
  MEMBER(NamedTensor, tensor);
  SIZE(Metric);
  MEMBER(Metric, name);
  MEMBER(Metric, value);
}

void list_functions() {
  SIZE(DividedBatch);
  line("type", "DividedBatch::Sum", type_name<DividedBatch::Sum>());
  FUNCTION(batch_is_divided);
  FUNCTION(sum_over_parts);
  FUNCTION(recomputed);
  SIZE(AutocastState);
  MEMBER(AutocastState, enabled);
  MEMBER(AutocastState, type);
  MEMBER(AutocastState, cached);
  SIZE(AutocastScope);
  FUNCTION(autocast_state);
  FUNCTION(register_backbone);
  FUNCTION(move_average);
  line("type", "Views", type_name<Views>());
  FUNCTION(joined);
  FUNCTION(joined_by_shape);
  FUNCTION(converted);
  FUNCTION(flip_horizontal);
  FUNCTION(adjust_brightness);
  FUNCTION(adjust_contrast);
  FUNCTION(adjust_saturation);
  FUNCTION(adjust_hue);
  FUNCTION(convert_to_grayscale);
  FUNCTION(gaussian_blur);
  FUNCTION(solarize);
  FUNCTION(shift);
  FUNCTION(normalize);
  FUNCTION(blur_kernel_size);
}

void list_enumerators() {
  ENUMERATOR(ComponentKind, dataset);
  ENUMERATOR(ComponentKind, augmentation);
  ENUMERATOR(ComponentKind, backbone);
  ENUMERATOR(ComponentKind, pretext);
  ENUMERATOR(ComponentKind, downstream);
  ENUMERATOR(ComponentKind, hypergradient);
  ENUMERATOR(ComponentKind, optimizer);
  ENUMERATOR(ComponentKind, transform);
  ENUMERATOR(PixelType, uint8);
  ENUMERATOR(PixelType, uint16);
  ENUMERATOR(TargetKind, none);
  ENUMERATOR(TargetKind, category);
  ENUMERATOR(TargetKind, multi_label);
  ENUMERATOR(TargetKind, values);
  ENUMERATOR(TargetKind, mask);
  ENUMERATOR(BatchCoupling, separable);
  ENUMERATOR(BatchCoupling, batch_statistics);
  ENUMERATOR(BatchCoupling, gathered);
  ENUMERATOR(Transform::Form, pixels);
  ENUMERATOR(Transform::Form, pixels_to_planes);
  ENUMERATOR(Transform::Form, planes_in_place);
  ENUMERATOR(Transform::Form, planes);
  ENUMERATOR(PlannedChange::Kind, shift);
  ENUMERATOR(PlannedChange::Kind, brightness);
  ENUMERATOR(PlannedChange::Kind, contrast);
  ENUMERATOR(PlannedChange::Kind, saturation);
  ENUMERATOR(PlannedChange::Kind, hue);
  ENUMERATOR(PlannedChange::Kind, grayscale);
  ENUMERATOR(PlannedChange::Kind, blur);
  ENUMERATOR(PlannedChange::Kind, solarize);
  ENUMERATOR(PlannedChange::Kind, normalize);
  ENUMERATOR(SolveStatus, direct);
  ENUMERATOR(SolveStatus, converged);
  ENUMERATOR(SolveStatus, iteration_limit);
  ENUMERATOR(SolveStatus, negative_curvature);
  ENUMERATOR(SolveStatus, diverged);
  ENUMERATOR(ErrorKind, input);
  ENUMERATOR(ErrorKind, run);
  ENUMERATOR(Finding::Severity, error);
  ENUMERATOR(Finding::Severity, warning);
  ENUMERATOR(EffectCondition::Relation, one_of);
  ENUMERATOR(EffectCondition::Relation, more_than);
  ENUMERATOR(EffectCondition::Relation, any_set);
  ENUMERATOR(EffectCondition::Relation, not_given);
  ENUMERATOR(ValueType, none);
  ENUMERATOR(ValueType, boolean);
  ENUMERATOR(ValueType, integer);
  ENUMERATOR(ValueType, floating);
  ENUMERATOR(ValueType, string);
  ENUMERATOR(ValueType, integers);
  ENUMERATOR(ValueType, floats);
  ENUMERATOR(ValueType, strings);
}

}  // namespace
}  // namespace bissl

int main() {
  bissl::list_components();
  bissl::list_tasks();
  bissl::list_abilities();
  bissl::list_what_grows();
  bissl::list_data();
  bissl::list_models();
  bissl::list_systems();
  bissl::list_declarations();
  bissl::list_functions();
  bissl::list_enumerators();
  return 0;
}
