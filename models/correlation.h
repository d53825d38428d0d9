// Do predicted numbers rise and fall with the true ones? As scipy.stats computes it.
#pragma once
#include <span>

namespace bertie {

// Pearson's r, in [−1, 1]. NaN where one of the two is constant or has a NaN or an infinity, and of fewer
// than two pairs, where scipy raises an error. Throws where the two aren't equally long.
double pearson_correlation(std::span<const double> x, std::span<const double> y);
// Spearman's ρ: Pearson's r of the ranks, where equal numbers share the mean of their ranks. NaN likewise,
// but an infinity has its rank.
double spearman_correlation(std::span<const double> x, std::span<const double> y);

}  // namespace bertie
