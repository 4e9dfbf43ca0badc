#include "networks.h"

#include "bissl/plugin.h"

BISSL_PLUGIN("networks", "2.0.0", "MIT", registrar) {
  bissl::add_conv_mixer(registrar);
  bissl::add_convnext(registrar);
  bissl::add_mlp(registrar);
  bissl::add_mobile_networks(registrar);
  bissl::add_resnet9(registrar);
  bissl::add_swin(registrar);
  bissl::add_vgg(registrar);
  bissl::add_wide_resnet(registrar);
}
