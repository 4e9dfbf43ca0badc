// The names of all checks, in their order.

#include "conformance/abilities.h"
#include "conformance/checker.h"

#include <algorithm>

namespace bissl::host {
namespace {

using Names = std::vector<std::string>;

constexpr const char* at_bounds =
    "is made at the ends of its bounds, or refuses them as wrong input";

Names of_kind(ComponentKind kind) {
  switch (kind) {
    case ComponentKind::dataset:
      return {"has samples",
              "images have channels, rows and columns, each byte readable",
              "targets are declared soundly, with distinct names, and stay the same",
              "each target is as declared, and target() agrees with get()",
              "a sample is the same each time, from each instance",
              "pixels stay where they are as long as the dataset",
              "an image outlives its dataset if it says so",
              "the fingerprint is a text that stays the same",
              "the files that it names are those of the fingerprint",
              "samples keep their names",
              "the fingerprint changes with the content",
              "draws from no generator of the process",
              "several threads read at once",
              "nothing depends on the time"};
    case ComponentKind::transform: {
      Names names = of_kind(ComponentKind::augmentation);
      names.insert(std::find(names.begin(), names.end(), "several threads work at once"),
                   "whole batches give what single views give, where they are taken");
      return names;
    }
    case ComponentKind::augmentation:
      return {"accepts images, and refuses others as wrong input",
              "views have the shape that is announced, all of it written and finite",
              "the image stays as it is",
              "writes the view and nothing beside it, reads the image and nothing beside it",
              "tells where a view lies in its image",
              "16-bit images give the views of 8-bit ones, where they are taken",
              "plans the views that it makes, where it can",
              "the same image, stream and view give the same result, in each instance",
              "a view does not depend on what was made before",
              "rows and columns keep their places, whatever the image's shape",
              "draws from the stream that it is given and from no other",
              at_bounds,
              "several threads work at once",
              "nothing depends on the time"};
    case ComponentKind::backbone:
      return {"takes images",
              "training continues with the same bits from parameters and buffers",
              "gives finite features of the width that it says",
              "has parameters that train, with names",
              "instances are alike but independent, and one generator gives the same weights",
              "a copy by names computes the same",
              "forward leaves images, weights, names and modes alone",
              "in evaluation mode a sample does not depend on the others, nor change anything",
              "different images have different features, all finite",
              "takes images that are not square, or refuses them as wrong input",
              "the gradient is that of the features (training mode, double precision)",
              "the second derivative is that of the gradient",
              "processes that share a batch compute what one computes",
              "feature maps are as declared",
              "tokens are as declared",
              "the depths of its layers lie within their number"};
    case ComponentKind::pretext:
      return {"is made for a width of features, with at least one view",
              "training continues with the same bits from parameters and buffers",
              "the loss is a finite scalar with a graph",
              "the loss moves the backbone",
              "all weights of the loss are in module()",
              "loss leaves its views, the backbone and all weights alone",
              "before_step leaves the backbone alone",
              "after_step leaves the backbone alone",
              "parameters and buffers keep their names and shapes, and stay finite",
              "a pass that is no training leaves no trace",
              "a copy of the state has the same loss",
              "the loss is that of the backbone that it is given",
              "each view counts",
              "targets and geometry count where they are asked for",
              "takes batches of any size from 2 on",
              "takes images that are not square",
              "the loss is finite where views are equal",
              "the batch couples as declared",
              "works in double precision, as audits need it",
              "the Hessian is symmetric, linear and finite",
              "the gradient is that of the loss",
              "the second derivative is that of the gradient"};
    case ComponentKind::downstream:
      return {"is made for features and targets, and gives outputs",
              "instances are alike but independent, and one generator gives the same weights",
              "any number of targets, with outputs for each",
              "the loss is a finite scalar",
              "right outputs cost less than wrong ones",
              "entries that do not count change neither loss nor metrics",
              "a loss that couples samples says so",
              "features, outputs and targets stay as they are",
              "in evaluation a sample does not depend on chance, on others or on their order",
              "chance in training comes from LibTorch's generator",
              "the gradient reaches the head and the features",
              "the gradient is that of the loss, in the head and in the features",
              "what training changes is in parameters and buffers, of fixed names and shapes",
              "metrics are declared with name and text, and given as declared",
              "metrics do not depend on how the data is cut into batches",
              "metrics of two passes are the same, and passes do not mix",
              "metrics of right and wrong outputs"};
    case ComponentKind::hypergradient:
      return {at_bounds,
              "tells what it needs",
              "solves, with a finite vector like u, and leaves u alone",
              "leaves models, buffers and generator alone",
              "comes closer to the solution than u, or not much less close",
              "asks for what it uses",
              "tells the products that it made, and a residual that is that of v",
              "twice u has twice the solution",
              "zero has a finite solution",
              "a system that answers with NaN gives a finite vector",
              "keeps no memory of u or v, and refuses a state that is not its own",
              "the system's weight counts",
              "continues from its state",
              "solves the next system as a fresh instance with its state does"};
    case ComponentKind::optimizer:
      return {at_bounds,
              "has a learning rate and a momentum within sense",
              "descends on a quadratic",
              "a learning rate of zero moves nothing",
              "a parameter without gradient stays",
              "each parameter moves, of any number of dimensions, and nothing else changes",
              "weights and gradients that are 0 leave all finite",
              "steps have the learning rate that it says, times the factor",
              "the momentum is that of its steps",
              "continues from its state with the same bits",
              "a state that does not fit is refused as wrong input",
              "the preconditioner has the gradients' shapes and changes nothing",
              "momentum is what it was set to",
              "weight decay is what it was set to"};
  }
  return {};
}

}  // namespace

std::vector<std::string> names_of_checks(ComponentKind kind) {
  Names names = {"has a summary of one line, and lines for its parameters",
                 "its defaults lie within their bounds and break none of its rules",
                 "instances are made, and go in any order", abilities_are_found};
  for (std::string& name : of_kind(kind)) {
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace bissl::host
