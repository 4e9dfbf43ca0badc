#pragma once

namespace bissl {

class Registrar;

// Each is called by the file of its library that has BISSL_PLUGIN.
void add_barlow_twins(Registrar& registrar);
void add_dcl(Registrar& registrar);  ///< dcl and dclw
void add_dino(Registrar& registrar);
void add_i_jepa(Registrar& registrar);
void add_inpainting(Registrar& registrar);
void add_jigsaw(Registrar& registrar);
void add_lejepa(Registrar& registrar);
void add_mae(Registrar& registrar);
void add_moco(Registrar& registrar);
void add_moco_v3(Registrar& registrar);
void add_msn(Registrar& registrar);
void add_nnclr(Registrar& registrar);
void add_relative_location(Registrar& registrar);
void add_ressl(Registrar& registrar);
void add_rotation(Registrar& registrar);
void add_sela(Registrar& registrar);
void add_simmim(Registrar& registrar);
void add_simsiam(Registrar& registrar);
void add_supcon(Registrar& registrar);
void add_tico(Registrar& registrar);
void add_vicreg(Registrar& registrar);
void add_vicregl(Registrar& registrar);
void add_w_mse(Registrar& registrar);

}  // namespace bissl
