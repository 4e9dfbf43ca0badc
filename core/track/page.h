#pragma once

namespace bissl::host {

/// core/track/page.html: the page that `bissl serve` shows. It needs nothing from elsewhere.
const char* runs_page();

}  // namespace bissl::host
