// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/product.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <array>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "io/aten.h"
#include "nn/kernels/onednn.h"

namespace lora::kernels {
namespace {

using Key = std::array<std::int64_t, 14>;

// Products kept ready per thread; making one costs about 0.1 ms.
constexpr std::size_t kMostPlans = 4096;

struct Plan {
  dnnl::matmul primitive;
  dnnl::memory::desc a, b, out, bias;
  std::size_t scratch = 0;
};

std::size_t element_size(at::ScalarType type) { return type == at::kFloat ? 4 : 2; }

dnnl::memory::desc describe(const Matrix& m) {
  return {{m.rows, m.columns}, onednn_type(m.type), {m.row_stride, m.column_stride}};
}

dnnl::matmul::primitive_desc descriptor(const Plan& plan, const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  if (!plan.bias.get_dims().empty())
    return {onednn_engine(), plan.a, plan.b, plan.bias, plan.out, attributes};
  return {onednn_engine(), plan.a, plan.b, plan.out, attributes};
#else
  if (plan.bias.dims().empty()) {
    return {dnnl::matmul::desc(plan.a, plan.b, plan.out), attributes, onednn_engine()};
  }
  return {dnnl::matmul::desc(plan.a, plan.b, plan.bias, plan.out), attributes, onednn_engine()};
#endif
}

// nullptr where oneDNN has no such product.
std::unique_ptr<Plan> make_plan(const Matrix& a, const Matrix& b, const Matrix& out, bool add,
                                bool bias) {
  auto plan = std::make_unique<Plan>();
  plan->a = describe(a);
  plan->b = describe(b);
  plan->out = describe(out);
  if (bias) plan->bias = describe({nullptr, a.type, 1, b.columns, b.columns, 1});
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  try {
    const auto made = descriptor(*plan, attributes);
    plan->primitive = dnnl::matmul(made);
    plan->scratch = made.scratchpad_desc().get_size();
  } catch (const dnnl::error&) {
    return nullptr;
  }
  return plan;
}

Key key_of(const Matrix& a, const Matrix& b, const Matrix& out, bool add, bool bias) {
  return {a.rows,
          a.columns,
          b.columns,
          a.row_stride,
          a.column_stride,
          b.row_stride,
          b.column_stride,
          out.row_stride,
          out.column_stride,
          static_cast<std::int64_t>(a.type),
          static_cast<std::int64_t>(out.type),
          add ? 1 : 0,
          bias ? 1 : 0,
          omp_get_max_threads()};
}

const Plan* plan_of(const Matrix& a, const Matrix& b, const Matrix& out, bool add, bool bias) {
  thread_local std::map<Key, std::unique_ptr<Plan>> plans;
  const Key key = key_of(a, b, out, add, bias);
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second.get();
  if (plans.size() >= kMostPlans) plans.clear();
  return plans.emplace(key, make_plan(a, b, out, add, bias)).first->second.get();
}

void run(const Plan& plan, const Matrix& a, const Matrix& b, const Matrix& out, const void* bias) {
  dnnl::engine& engine = onednn_engine();
  using Memory = dnnl::memory;
  std::unordered_map<int, Memory> arguments = {{DNNL_ARG_SRC, Memory(plan.a, engine, a.data)},
                                               {DNNL_ARG_WEIGHTS, Memory(plan.b, engine, b.data)},
                                               {DNNL_ARG_DST, Memory(plan.out, engine, out.data)}};
  if (bias != nullptr) {
    arguments.emplace(DNNL_ARG_BIAS, Memory(plan.bias, engine, const_cast<void*>(bias)));
  }
  onednn_run(plan.primitive, arguments, plan.scratch);
}

at::Tensor as_tensor(const Matrix& m) {
  return at::from_blob(m.data, {m.rows, m.columns}, {m.row_stride, m.column_stride},
                       at::TensorOptions(m.type));
}

void multiply_plain(const Matrix& a, const Matrix& b, const Matrix& out, bool add,
                    const void* bias) {
  const at::NoGradGuard guard;
  at::Tensor product = at::mm(as_tensor(a).to(at::kFloat), as_tensor(b).to(at::kFloat));
  if (bias != nullptr) {
    product += as_tensor({const_cast<void*>(bias), a.type, 1, out.columns, out.columns, 1});
  }
  at::Tensor target = as_tensor(out);
  if (add) {
    target.copy_(product.add_(target));
  } else {
    target.copy_(product);
  }
}

// Inside a parallel region oneDNN must plan for one thread.
class InnerThreads {
 public:
  InnerThreads() : inside_(at::in_parallel_region()), before_(omp_get_max_threads()) {
    if (inside_) omp_set_num_threads(1);
  }
  ~InnerThreads() {
    if (inside_) omp_set_num_threads(before_);
  }
  InnerThreads(const InnerThreads&) = delete;
  InnerThreads& operator=(const InnerThreads&) = delete;

 private:
  bool inside_;
  int before_;
};

}  // namespace

Matrix Matrix::row_range(std::int64_t begin, std::int64_t count) const {
  Matrix part = *this;
  part.data =
      static_cast<char*>(data) + static_cast<std::size_t>(begin * row_stride) * element_size(type);
  part.rows = count;
  return part;
}

Matrix matrix(const at::Tensor& tensor) {
  const std::int64_t columns = tensor.size(-1);
  const at::Tensor flat = tensor.view({-1, columns});
  return {flat.data_ptr(), flat.scalar_type(), flat.size(0),
          columns,         flat.stride(0),     flat.stride(1)};
}

void multiply(const Matrix& a, const Matrix& b, const Matrix& out, bool add, const void* bias) {
  TORCH_INTERNAL_ASSERT(a.columns == b.rows && a.rows == out.rows && b.columns == out.columns);
  if (out.rows == 0 || out.columns == 0) return;
  const InnerThreads threads;
  const Plan* plan = plan_of(a, b, out, add, bias != nullptr);
  if (plan == nullptr) return multiply_plain(a, b, out, add, bias);
  run(*plan, a, b, out, bias);
}

}  // namespace lora::kernels
