#pragma once

#include "plugins/component.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// A value of `--set` for a parameter, of one component or (with an empty name) of all that have
/// it.
struct GivenValue {
  std::string text;  ///< as it was given
  std::string component;
  std::string parameter;
  Value value;
};

/// Reads "[COMPONENT.]PARAMETER=VALUE". Throws Error(ErrorKind::input) for anything else.
GivenValue parse_given(const std::string& text);

/// Throws Error(ErrorKind::input) for a value that is for no parameter of the components, with the
/// nearest names, and for one that a parameter refuses.
void require_taken(const std::vector<GivenValue>& given,
                   const std::vector<std::shared_ptr<const RegisteredComponent>>& components);

/// The values to try a component with.
struct TrialValues {
  ParameterValues values;
  std::set<std::string> given;  ///< the parameters whose value was given
  std::string missing;          ///< a parameter for which there is none; otherwise empty
};

/// The defaults, what was given, and for required numbers, switches and choices something within
/// their bounds. `given` must have been accepted by require_taken.
TrialValues trial_values(const ComponentInfo& info, const std::vector<GivenValue>& given);

}  // namespace bissl::host
