// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/algebra.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "io/adapters/match.h"
#include "io/adapters/peft_config.h"
#include "io/aten.h"

namespace lora {
namespace {

at::Tensor down64(const AdapterModule& module) {  // [rank, in kh kw]
  return module.down().flatten(1).to(at::kDouble);
}

at::Tensor up64(const AdapterModule& module) {  // [out, rank]
  return module.b.flatten(1).to(at::kDouble);
}

void check_same_layer(const AdapterModule& p, const AdapterModule& q) {
  if (same_weight_shape(p.weight_shape(), q.weight_shape())) return;
  fail("module '", p.path, "': the two adapters are of different models (found ",
       shape_text(p.weight_shape()), " and ", shape_text(q.weight_shape()),
       "); take two of one base model");
}

// The triangular factor of a tall matrix.
at::Tensor triangle(const at::Tensor& tall) { return std::get<1>(at::linalg_qr(tall, "r")); }

// f(module of p or nullptr, module of q or nullptr) for the paths of both.
template <typename Action>
void for_each_pair(const AdapterFile& p, const AdapterFile& q, Action action) {
  std::map<std::string, std::pair<const AdapterModule*, const AdapterModule*>> pairs;
  for (const AdapterModule& module : p.modules) pairs[module.path].first = &module;
  for (const AdapterModule& module : q.modules) pairs[module.path].second = &module;
  for (const auto& [path, pair] : pairs) action(pair.first, pair.second);
}

// `matrix` [.., columns] in the shape of A with `rank` rows, or of B.
at::Tensor as_a(const AdapterModule& like, const at::Tensor& matrix) {
  std::vector<std::int64_t> shape = like.weight_shape();
  shape[0] = matrix.size(0);
  return matrix.to(at::kFloat).reshape(shape).contiguous();
}
at::Tensor as_b(const AdapterModule& like, const at::Tensor& matrix) {
  std::vector<std::int64_t> shape = {matrix.size(0), matrix.size(1)};
  if (like.is_conv()) shape.insert(shape.end(), {1, 1});
  return matrix.to(at::kFloat).reshape(shape).contiguous();
}

// B x factor: in the dtype of `b` where that loses nothing, else float32.
at::Tensor folded(const at::Tensor& b, double factor) {
  if (factor == 1) return b;
  const at::Tensor product = (b.to(at::kDouble) * factor).to(at::kFloat);
  const at::Tensor narrow = product.to(b.scalar_type());
  return at::equal(narrow.to(at::kFloat), product) ? narrow : product;
}

// One term of a sum of modules.
struct ModuleTerm {
  const AdapterModule* module;
  double weight;
};

void check_terms(std::span<const Term> terms) {
  const auto counts = [](const Term& term) { return term.weight != 0; };
  if (std::none_of(terms.begin(), terms.end(), counts)) {
    fail("sum of adapters: nothing to add (found ", terms.size(),
         " adapters, expected at least one ", "with a weight other than 0); give one");
  }
  const AdapterFile& first = *terms[0].adapter;
  for (const Term& term : terms) {
    const AdapterFile& adapter = *term.adapter;
    const std::string where = adapter.path.string();
    if (adapter.use_dora) {
      fail(where, ": DoRA's magnitudes do not add up, so it cannot be summed with other adapters; ",
           "take adapters that were trained without use_dora");
    }
    if (!adapter.others.empty()) {
      fail(where, ": tensor '", adapter.others.begin()->first, "' is not LoRA and cannot be ",
           "summed; take an adapter without it");
    }
    if (adapter.kind != first.kind) {
      fail(where, ": an adapter for ", kind_title(adapter.kind), " cannot be summed with one for ",
           kind_title(first.kind), " (", first.path.string(), "); take adapters of one base model");
    }
  }
}

AdapterModule sum(const std::vector<ModuleTerm>& terms) {
  AdapterModule result;
  result.path = terms[0].module->path;
  const std::vector<std::int64_t> shape = terms[0].module->weight_shape();
  std::vector<at::Tensor> downs, ups;
  for (const ModuleTerm& term : terms) {
    const AdapterModule& module = *term.module;
    check_same_layer(*terms[0].module, module);
    downs.push_back(module.down().flatten(1));
    ups.push_back(module.b.flatten(1).to(at::kDouble) * (term.weight * module.scale));
  }
  std::vector<std::int64_t> a_shape = shape, b_shape = {shape[0], -1};
  a_shape[0] = -1;
  b_shape.resize(shape.size(), 1);
  result.a = at::cat(downs, 0).reshape(a_shape);
  result.b = at::cat(ups, 1).to(at::kFloat).reshape(b_shape);
  result.alpha = static_cast<double>(result.rank());
  result.alpha_known = true;
  return result;
}

}  // namespace

bool is_finite(const AdapterModule& module) {
  const at::Tensor* const tensors[] = {&module.a, &module.b, &module.mid, &module.magnitude};
  return std::all_of(std::begin(tensors), std::end(tensors), [](const at::Tensor* tensor) {
    return !tensor->defined() || at::isfinite(*tensor).all().item<bool>();
  });
}

double inner_product(const AdapterModule& p, const AdapterModule& q) {
  check_same_layer(p, q);
  const at::Tensor up = at::matmul(up64(p).t(), up64(q));
  const at::Tensor down = at::matmul(down64(q), down64(p).t());
  return p.scale * q.scale * at::matmul(up, down).diagonal().sum().item<double>();
}

double norm(const AdapterModule& p) { return std::sqrt(std::max(0.0, inner_product(p, p))); }

double distance(const AdapterModule& p, const AdapterModule& q) {
  check_same_layer(p, q);
  const at::Tensor up = at::cat({up64(p) * p.scale, up64(q) * -q.scale}, 1);
  const at::Tensor down = at::cat({down64(p), down64(q)}, 0);
  return at::matmul(triangle(up), triangle(down.t()).t()).norm().item<double>();
}

double inner_product(const AdapterFile& p, const AdapterFile& q) {
  double sum = 0;
  for_each_pair(p, q, [&](const AdapterModule* one, const AdapterModule* other) {
    if (one != nullptr && other != nullptr) sum += inner_product(*one, *other);
  });
  return sum;
}

double norm(const AdapterFile& p) { return std::sqrt(std::max(0.0, inner_product(p, p))); }

double distance(const AdapterFile& p, const AdapterFile& q) {
  double squares = 0;
  for_each_pair(p, q, [&](const AdapterModule* one, const AdapterModule* other) {
    const double size = one == nullptr     ? norm(*other)
                        : other == nullptr ? norm(*one)
                                           : distance(*one, *other);
    squares += size * size;
  });
  return std::sqrt(squares);
}

AdapterModule without_core(const AdapterModule& module) {
  if (!module.mid.defined()) return module;
  AdapterModule plain = module;
  plain.a = module.down();
  plain.mid = at::Tensor();
  return plain;
}

AdapterModule rescale(const AdapterModule& module, double alpha, bool use_rslora) {
  AdapterModule other = module;
  other.alpha = alpha;
  other.alpha_known = true;
  other.scale = lora_scale(alpha, module.rank(), use_rslora);
  other.b = folded(module.b, module.scale / other.scale);
  return other;
}

AdapterModule grow(const AdapterModule& module, std::int64_t rank, double alpha, double scale,
                   at::Generator& random) {
  const std::int64_t more = rank - module.rank();
  if (more <= 0) return module;
  AdapterModule wide = without_core(module);
  std::vector<std::int64_t> rows = wide.a.sizes().vec(), columns = wide.b.sizes().vec();
  const double bound = 1 / std::sqrt(static_cast<double>(wide.a[0].numel()));
  rows[0] = more;
  columns[1] = more;
  const at::Tensor new_rows = at::empty(rows, at::kFloat).uniform_(-bound, bound, random);
  wide.a = at::cat({wide.a.to(at::kFloat), new_rows}, 0);
  // The new alpha / rank may differ from the old scale: B carries the difference.
  wide.b =
      at::cat({wide.b.to(at::kFloat) * (module.scale / scale), at::zeros(columns, at::kFloat)}, 1);
  wide.alpha = alpha;
  wide.scale = scale;
  return wide;
}

ShrunkModule shrink(const AdapterModule& module, std::int64_t rank, bool use_rslora) {
  if (rank < 1) fail("module '", module.path, "': found rank ", rank, ", expected 1 or more");
  if (rank >= module.rank()) return {module};
  const auto [q_up, up] = at::linalg_qr(up64(module), "reduced");
  const auto [q_down, down] = at::linalg_qr(down64(module).t(), "reduced");
  const auto [left, values, right] = at::linalg_svd(at::matmul(up, down.t()), false);
  const std::int64_t left_over = std::min(rank, values.size(0));
  const at::Tensor root = values.slice(0, 0, left_over).sqrt();
  const at::Tensor energy = values.square();
  const double total = energy.sum().item<double>();
  ShrunkModule shrunk{module};
  AdapterModule& small = shrunk.module;
  small.a = as_a(module, at::matmul(root.unsqueeze(1) * right.slice(0, 0, left_over), q_down.t()));
  small.b = as_b(module, at::matmul(q_up, left.slice(1, 0, left_over) * root));
  small.mid = at::Tensor();
  // scale = alpha / rank or alpha / sqrt(rank): it stays, alpha follows.
  small.alpha = module.scale / lora_scale(1, left_over, use_rslora);
  if (total > 0) shrunk.kept = energy.slice(0, 0, left_over).sum().item<double>() / total;
  return shrunk;
}

ShrunkFile shrink(const AdapterFile& adapter, std::int64_t rank) {
  ShrunkFile shrunk{adapter};
  double kept = 0, total = 0;
  for (AdapterModule& module : shrunk.adapter.modules) {
    const double energy = std::max(0.0, inner_product(module, module));
    ShrunkModule small = shrink(module, rank, adapter.use_rslora);
    kept += small.kept * energy;
    total += energy;
    module = std::move(small.module);
  }
  if (total > 0) shrunk.kept = kept / total;
  return shrunk;
}

AdapterFile blend(std::span<const Term> terms) {
  check_terms(terms);
  std::map<std::string, std::vector<ModuleTerm>> places;
  for (const Term& term : terms) {
    if (term.weight == 0) continue;
    for (const AdapterModule& module : term.adapter->modules) {
      places[module.path].push_back({&module, term.weight});
    }
  }
  const AdapterFile& first = *terms[0].adapter;
  AdapterFile result;
  result.path = first.path;
  result.kind = first.kind;
  result.fan_in_fan_out = first.fan_in_fan_out;
  result.base_model = first.base_model;
  result.task_type = first.task_type;
  for (const auto& [path, modules] : places) result.modules.push_back(sum(modules));
  return result;
}

AdapterFile concatenate(const AdapterFile& p, const AdapterFile& q) {
  const Term terms[] = {{&p}, {&q}};
  return blend(terms);
}

}  // namespace lora
