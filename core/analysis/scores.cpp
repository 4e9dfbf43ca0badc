#include "analysis/scores.h"

#include "numerics/linear_probe.h"

#include <algorithm>
#include <cctype>

namespace bissl::host {
namespace {

constexpr const char* of_probes = "PROBE";

/// What may be in the place of these capitals.
bool fits(const std::string& capitals, const std::string& text) {
  if (text == capitals) {
    return true;
  }
  if (capitals == "K") {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char letter) {
      return std::isdigit(letter) != 0;
    });
  }
  return capitals == of_probes
             ? text == "logistic" || text == "head" || probe_protocol(text) != nullptr
             : text == "pca" || text == "tsne" || text == "umap";
}

}  // namespace

const char* ScoreInfo::direction() const {
  return higher_is_better ? "higher is better" : "lower is better";
}

bool ScoreInfo::is_called(const std::string& metric) const {
  const std::string pattern = name;
  const auto is_capital = [](unsigned char letter) { return std::isupper(letter) != 0; };
  const auto first = std::find_if(pattern.begin(), pattern.end(), is_capital);
  if (first == pattern.end()) {
    return metric == pattern;
  }
  const auto last = std::find_if_not(first, pattern.end(), is_capital);
  const std::string before(pattern.begin(), first);
  const std::string after(last, pattern.end());
  return metric.size() > before.size() + after.size() && metric.starts_with(before) &&
         metric.ends_with(after) &&
         fits(std::string(first, last),
              metric.substr(before.size(), metric.size() - before.size() - after.size()));
}

bool ScoreInfo::is_of_probes() const { return std::string(name).starts_with(of_probes); }

const std::vector<ScoreInfo>& scores() {
  static const std::vector<ScoreInfo> all = {
      {"knnK_top1",
       "the share of samples whose class is the first by the votes exp(s/τ) of the K nearest "
       "images "
       "of `bank`, s the cosine",
       "Wu et al. 2018, arXiv 1805.01978, section 3.4", "0 to 1", true,
       "how well neighbours share a class: a score of the task without training"},
      {"knnK_top5", "the same, among the first five",
       "Wu et al. 2018, arXiv 1805.01978, section 3.4", "0 to 1", true,
       "the same, where classes are many"},
      {"PROBE_top1", "the share of samples whose class has the largest logit of the probe",
       "Kornblith, Shlens and Le 2019, arXiv 1805.08974, for the protocol", "0 to 1", true,
       "what a linear head can read of the features"},
      {"PROBE_loss", "the mean cross entropy of the same logits", "–", "0 and more", false,
       "the same, with how sure the head is"},
      {"PROBE_ece",
       "Σ |B|/N·|accuracy of B − mean confidence of B| over 15 bins B of the largest probability, "
       "of "
       "equal width",
       "Guo et al. 2017, arXiv 1706.04599", "0 to 1", false,
       "how far confidences are from the shares of right answers"},
      {"nc3",
       "‖W/‖W‖ − M/‖M‖‖², W the weights of the logistic regression on `bank`, M the rows μ_c − μ, "
       "Frobenius norms",
       "Papyan, Han and Donoho 2020, arXiv 2008.08186", "0 to 4", false,
       "neural collapse 3: whether the head's weights point where the classes lie"},
      {"PLANE_trustworthiness",
       "1 − 2/(N·k·(2N − 3k − 1))·Σ_i Σ_j max(0, r(i, j) − k) over the k = 10 neighbours j of i in "
       "the plane, r the rank of j by its distance in the features",
       "Venna and Kaski 2001, ICANN", "0 to 1", true,
       "how far neighbours in the picture are neighbours among the features"},
  };
  return all;
}

}  // namespace bissl::host
