#pragma once

#include "preview/canvas.h"

#include <array>
#include <cstdint>
#include <string>

namespace bissl::host {

/// Red, green and blue.
using Colour = std::array<uint8_t, 3>;

/// The colour of hsl(hue saturation lightness) in CSS: a hue in degrees, shares of 1.
Colour hsl_colour(double hue, double saturation, double lightness);

/// A filled circle with smooth edges, at most `opacity` of its colour over what is there. What lies
/// outside the canvas is left out.
void draw_dot(Canvas& canvas, double x, double y, double radius, const Colour& colour,
              double opacity);

/// A filled rectangle, `opacity` of its colour over what is there. What lies outside the
/// canvas is left out.
void draw_area(Canvas& canvas, int64_t left, int64_t top, int64_t width, int64_t height,
               const Colour& colour, double opacity);

/// The outline of a rectangle, one pixel wide.
void draw_outline(Canvas& canvas, int64_t left, int64_t top, int64_t width, int64_t height,
                  const Colour& colour);

/// Pixels from one letter to the next and the height of letters above the line, for `scale` 1.
inline constexpr int64_t letter_step = 6;
inline constexpr int64_t letter_height = 7;

/// The number of letters of a UTF-8 text.
int64_t letters_in(const std::string& text);

/// A line of text in letters of 5 × 7 dots, each a square of `scale` pixels; `top` is that of
/// capitals. Letters beyond ASCII are boxes: the pictures that have names say them in SVG and CSV,
/// too.
void draw_text(Canvas& canvas, int64_t left, int64_t top, const std::string& text, int64_t scale,
               const Colour& colour);

}  // namespace bissl::host
