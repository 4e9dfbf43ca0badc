#include "analysis/figures.h"

#include "analysis/classes.h"
#include "analysis/dimension.h"
#include "analysis/similarity.h"
#include "analysis/spectrum.h"
#include "analysis/spread.h"

#include <fmt/format.h>

namespace bissl::host {
namespace {

FigureInfo of_features(FigureInfo info, Measured (*compute)(const at::Tensor&)) {
  info.of_one = compute;
  return info;
}

FigureInfo of_pair(FigureInfo info, Measured (*compute)(const at::Tensor&, const at::Tensor&)) {
  info.of_two = compute;
  return info;
}

constexpr std::optional<bool> higher = true;
constexpr std::optional<bool> lower = false;
constexpr std::optional<bool> neither = std::nullopt;

std::vector<FigureInfo> rank_figures() {
  return {
      of_features({"rankme", FigureInput::features,
                   "exp(−Σ p_k·ln p_k), p_k = σ_k/Σσ + 1e-7, σ the singular values of the features",
                   "Garrido et al. 2023, arXiv 2210.02885", "1 to min(N, D)", higher,
                   "how many directions the features use; near 1 they have collapsed"},
                  rankme),
      of_features({"effective_rank", FigureInput::features,
                   "exp(−Σ p_k·ln p_k), p_k = σ_k/Σσ, σ the singular values of the features minus "
                   "their mean",
                   "Roy and Vetterli 2007, EUSIPCO", "1 to min(N − 1, D)", higher,
                   "the same around the mean: a large common offset does not hide the rest"},
                  effective_rank),
      of_features({"participation_ratio", FigureInput::features,
                   "(Σ λ)²/Σ λ², λ the eigenvalues of the covariance",
                   "Gao et al. 2017, bioRxiv 214262", "1 to min(N − 1, D)", higher,
                   "how many directions hold the variance; small ones count less than in the "
                   "effective rank"},
                  participation_ratio),
      of_features({"alpha_req", FigureInput::features,
                   "−slope of ln λ_i over ln i by least squares, λ_i the eigenvalues of the "
                   "covariance, i from 1 to 50 or to the last above 1e-10·λ_1",
                   "Agrawal et al. 2022, NeurIPS (the range of i is ours)", "0 and more", neither,
                   "how fast the variance falls from direction to direction; about 1 is said to be "
                   "good, far above 1 few directions hold all"},
                  alpha_req),
      of_features({"two_nn", FigureInput::features,
                   "(N − 1)/Σ ln(r_2/r_1), r_1 and r_2 the distances to the two nearest samples",
                   "Facco et al. 2017, Scientific Reports 7, by maximum likelihood", "above 0",
                   neither, "the intrinsic dimension as the smallest distances show it"},
                  two_nn),
      of_features({"intrinsic_dimension", FigureInput::features,
                   "N·(k − 1)/Σ_i Σ_{j<k} ln(T_k/T_j), T_j the distance to neighbour j, k = 20",
                   "Levina and Bickel 2004, NeurIPS, averaged as MacKay and Ghahramani 2005",
                   "above 0", neither, "the intrinsic dimension of neighbourhoods of 20 samples"},
                  intrinsic_dimension),
  };
}

std::vector<FigureInfo> sphere_figures() {
  return {
      of_features({"feature_std", FigureInput::features,
                   "√D · the mean of the standard deviations of the coordinates of f/‖f‖",
                   "Chen and He 2021, arXiv 2011.10566, section 4.1", "0 to about 1", higher,
                   "0: all features point into one direction, a collapse; 1: they are spread as "
                   "random ones"},
                  feature_std),
      of_features({"uniformity", FigureInput::features,
                   "ln of the mean of exp(−2·‖x − y‖²) over all pairs, x = f/‖f‖",
                   "Wang and Isola 2020, arXiv 2005.10242", "about −4 (even) to 0 (collapsed)",
                   lower, "how evenly the directions of features fill the sphere"},
                  uniformity),
      of_features(
          {"alignment", FigureInput::views,
           "the mean of ‖x − y‖² over pairs of views of one image, x = f/‖f‖",
           "Wang and Isola 2020, arXiv 2005.10242", "0 to 4", lower,
           "how little the augmentations of `pairs` move a feature; collapsed features have "
           "0, too"},
          alignment),
      of_features(
          {"lidar", FigureInput::views,
           "exp(−Σ p·ln p), p = λ/Σλ + 1e-8, λ the eigenvalues of Σ_w^(−½)·Σ_b·Σ_w^(−½); Σ_b "
           "the covariance of the images' means, Σ_w that of views around them + 1e-4·I",
           "Thilak et al. 2024, arXiv 2312.04000", "1 to min(N − 1, D)", higher,
           "in how many directions images differ by more than their views do"},
          lidar),
  };
}

std::vector<FigureInfo> class_figures() {
  const char* collapse = "Papyan, Han and Donoho 2020, arXiv 2008.08186";
  return {
      of_pair({"silhouette", FigureInput::classes,
               "the mean of (b − a)/max(a, b): a the mean distance to the sample's class, b to the "
               "nearest other class",
               "Rousseeuw 1987", "−1 to 1", higher, "whether classes form clusters of their own"},
              silhouette),
      of_pair({"davies_bouldin", FigureInput::classes,
               "the mean over classes of max (s_i + s_j)/‖μ_i − μ_j‖, s the mean distance to the "
               "class's mean",
               "Davies and Bouldin 1979", "0 and more", lower,
               "how wide classes are against the distances between them"},
              davies_bouldin),
      of_pair({"class_alignment", FigureInput::classes,
               "the mean of ‖x − y‖² over pairs of samples of one class, x = f/‖f‖",
               "Wang and Isola 2020, arXiv 2005.10242, with a class's samples for views", "0 to 4",
               lower, "how near the samples of a class are; collapsed features have 0, too"},
              class_alignment),
      of_pair({"scatter_ratio", FigureInput::classes,
               "tr Σ_W/tr Σ_B: the variance within classes and that of their means, weighted by "
               "their samples",
               "Fisher 1936, as a ratio of traces", "0 and more", lower,
               "how much of the variance is within classes"},
              scatter_ratio),
      of_pair({"nc1", FigureInput::classes, "tr(Σ_W·Σ_B⁺)/C", collapse, "0 and more", lower,
               "neural collapse 1: the variance within classes in the directions of their means"},
              nc1),
      of_pair({"nc2_norms", FigureInput::classes,
               "standard deviation/mean of ‖μ_c − μ‖ over the classes", collapse, "0 and more",
               lower, "neural collapse 2: whether classes are equally far from the centre"},
              nc2_norms),
      of_pair({"nc2_angles", FigureInput::classes,
               "the mean of |cos(μ_c − μ, μ_d − μ) + 1/(C − 1)| over pairs of classes", collapse,
               "0 to 1 + 1/(C − 1)", lower,
               "neural collapse 2: whether all pairs of classes are equally far apart"},
              nc2_angles),
  };
}

std::vector<FigureInfo> network_figures() {
  return {
      of_pair({"cka", FigureInput::networks,
               "‖Yᵀ·X‖²/(‖Xᵀ·X‖·‖Yᵀ·Y‖), columns centred, Frobenius norms",
               "Kornblith et al. 2019, arXiv 1905.00414", "0 to 1", neither,
               "how alike two networks see the samples; too high where samples are fewer than "
               "features"},
              linear_cka),
      of_pair({"debiased_cka", FigureInput::networks,
               "the same with the unbiased estimates of the three products",
               "Song et al. 2012, JMLR 13; Kornblith et al. 2019", "about 0 to 1", neither,
               "the same, without what few samples add"},
              debiased_cka),
      of_pair({"subspace_overlap", FigureInput::networks,
               "the mean of cos² of the principal angles between the spaces of the first 10 "
               "principal components, in the space of the samples",
               "Björck and Golub 1973; Raghu et al. 2017, arXiv 1706.05806", "0 to 1", neither,
               "whether the largest components of two networks tell the same differences between "
               "samples"},
              subspace_overlap),
  };
}

}  // namespace

std::string FigureInfo::direction() const {
  return !higher_is_better   ? "no direction"
         : *higher_is_better ? "higher is better"
                             : "lower is better";
}

std::string FigureInfo::text() const {
  return fmt::format("{}; {}; {}; {}; {}", says, formula, range, direction(), source);
}

const std::vector<FigureInfo>& figures() {
  static const std::vector<FigureInfo> all = [] {
    std::vector<FigureInfo> list;
    for (const auto& part :
         {rank_figures(), sphere_figures(), class_figures(), network_figures()}) {
      list.insert(list.end(), part.begin(), part.end());
    }
    return list;
  }();
  return all;
}

}  // namespace bissl::host
