#pragma once

namespace bissl {

class Registrar;

// The components of the library `networks`.
void add_conv_mixer(Registrar& registrar);
void add_convnext(Registrar& registrar);
void add_mlp(Registrar& registrar);
void add_mobile_networks(Registrar& registrar);
void add_resnet9(Registrar& registrar);
void add_swin(Registrar& registrar);
void add_vgg(Registrar& registrar);
void add_wide_resnet(Registrar& registrar);

}  // namespace bissl
