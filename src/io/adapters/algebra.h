// SPDX-License-Identifier: Apache-2.0
// Arithmetic on adapters. Pure functions: what is given stays as it is.
//
// A module stands for the matrix P = scale * B A, [out, in] (convolutions [out, in kh kw], a LoCon
// core multiplied into A). P is never made: sums over its entries are sums over products of the
// factors, in float64, of [rank, rank] at most. Results are float32 modules without a core.
// Throws Error, naming the module, where two modules are of layers of different shapes.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <span>

#include "io/adapters/adapter_file.h"

namespace lora {

// Are all numbers of the module finite?
bool is_finite(const AdapterModule& module);

// Sum of the entries of P times those of Q: s t tr((B^T D)(C A^T)) for P = s B A, Q = t D C.
double inner_product(const AdapterModule& p, const AdapterModule& q);
// Frobenius norm of P.
double norm(const AdapterModule& p);
// Frobenius norm of P - Q. Not from inner products, which cancel where P and Q are close: from the
// triangular factors of [s B, -t D] and [A; C].
double distance(const AdapterModule& p, const AdapterModule& q);

// The same over all modules of adapters. A module that only one of the two has stands against 0.
double inner_product(const AdapterFile& p, const AdapterFile& q);
double norm(const AdapterFile& p);
double distance(const AdapterFile& p, const AdapterFile& q);

// A LoCon core multiplied into A; the module itself where it has none.
AdapterModule without_core(const AdapterModule& module);

// The same P with another alpha, and so another scale: B takes the difference, in its own dtype
// where that loses nothing, else in float32.
AdapterModule rescale(const AdapterModule& module, double alpha, bool use_rslora = false);

// The same P in a wider module: new random rows of A (uniform within 1 / sqrt(fan_in), drawn from
// `random`), zero columns of B, and B times (old scale / new scale). Where `rank` is not above the
// module's, the module as it is. DoRA magnitudes stay.
AdapterModule grow(const AdapterModule& module, std::int64_t rank, double alpha, double scale,
                   at::Generator& random);

// The nearest P of rank `rank` or less (Eckart-Young), with the same scale: the singular values of
// the [rank, rank] core R S^T of B = Q R and A^T = U S, shared by both factors. DoRA magnitudes
// stay. Throws Error for a rank below 1.
struct ShrunkModule {
  AdapterModule module;
  double kept = 1;  // share of the squared singular values that is left, 1 for P = 0
};
ShrunkModule shrink(const AdapterModule& module, std::int64_t rank, bool use_rslora = false);

struct ShrunkFile {
  AdapterFile adapter;
  double kept = 1;  // over all modules
};
ShrunkFile shrink(const AdapterFile& adapter, std::int64_t rank);

// sum of weight * P, as one adapter of the ranks' sum, alpha = rank, scale 1. Terms of weight 0 are
// left out. Throws Error for no terms, for adapters of different kinds of models, for DoRA (its
// magnitudes do not add up) and for tensors that are not LoRA.
struct Term {
  const AdapterFile* adapter;
  double weight = 1;
};
AdapterFile blend(std::span<const Term> terms);
// The sum of two.
AdapterFile concatenate(const AdapterFile& p, const AdapterFile& q);

}  // namespace lora
