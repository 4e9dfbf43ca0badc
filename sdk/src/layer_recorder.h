#pragma once

namespace bissl {

/// Whether a LayerRecorder lives on this thread.
bool layers_are_recorded();

}  // namespace bissl
