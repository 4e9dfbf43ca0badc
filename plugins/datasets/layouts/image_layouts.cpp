#include "layouts.h"

BISSL_PLUGIN("image-layouts", "0.1.2", "MIT", registrar) {
  bissl::add_caltech101(registrar);
  bissl::add_cub200(registrar);
  bissl::add_dtd(registrar);
  bissl::add_fgvc_aircraft(registrar);
  bissl::add_flowers102(registrar);
  bissl::add_food101(registrar);
  bissl::add_masks(registrar);
  bissl::add_oxford_pets(registrar);
  bissl::add_stanford_cars(registrar);
  bissl::add_sun397(registrar);
  bissl::add_voc2007(registrar);
  bissl::add_voc2012_segmentation(registrar);
}
