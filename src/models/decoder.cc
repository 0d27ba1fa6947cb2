// SPDX-License-Identifier: Apache-2.0
#include "models/decoder.h"

#include <algorithm>

#include "base/error.h"
#include "io/aten.h"
#include "nn/checkpoint.h"

namespace lora {
namespace {

// Appends `more` [B, T, K, d] behind the first `length` positions of `buffer`, which grows by
// doubling; returns the filled part.
at::Tensor append(at::Tensor& buffer, const at::Tensor& more, std::int64_t length) {
  const std::int64_t needed = length + more.size(1);
  if (!buffer.defined() || buffer.size(1) < needed) {
    std::vector<std::int64_t> shape = more.sizes().vec();
    shape[1] = std::max<std::int64_t>(needed, 2 * length);
    at::Tensor larger = at::empty(shape, more.options());
    if (length > 0) larger.narrow(1, 0, length).copy_(buffer.narrow(1, 0, length));
    buffer = larger;
  }
  buffer.narrow(1, length, more.size(1)).copy_(more);
  return buffer.narrow(1, 0, needed);
}

// Documents of all keys after `more` [B, T] came; undefined as long as nothing is padded.
at::Tensor append_documents(const KeyValueCache& cache, const TextTensors& batch) {
  if (!cache.documents.defined() && !batch.documents.defined()) return {};
  const auto or_ones = [&](const at::Tensor& documents, std::int64_t length) {
    return documents.defined() ? documents
                               : at::ones({batch.ids.size(0), length}, batch.ids.options());
  };
  const at::Tensor more = or_ones(batch.documents, batch.ids.size(1));
  if (cache.length == 0) return more;
  return at::cat({or_ones(cache.documents, cache.length), more}, 1);
}

struct Targets {
  at::Tensor rows, labels;  // [N]
};

Targets targets_of(const TextTensors& batch) {
  if (batch.rows.defined()) return {batch.rows, batch.targets};
  const std::int64_t length = batch.labels.size(1);
  const at::Tensor next = batch.labels.narrow(1, 1, length - 1);
  const at::Tensor place = (next != kIgnore).nonzero();  // [N, 2]: row, position
  const at::Tensor row = place.select(1, 0), position = place.select(1, 1);
  const at::Tensor rows = row * length + position;
  return {rows, batch.labels.reshape({-1}).index_select(0, rows + 1)};
}

// A wrong tokenizer or a text that is too long, before an index fails deep inside. Only on the CPU:
// elsewhere the check would wait for the device.
void check_batch(const TextTensors& batch, const HfConfig& config) {
  if (!batch.ids.is_cpu() || batch.ids.numel() == 0) return;
  const auto largest = batch.ids.max().item<std::int64_t>();
  if (largest >= config.vocabulary || batch.ids.min().item<std::int64_t>() < 0) {
    fail(config.where, ": token id outside the vocabulary (found ", largest, ", expected 0 to ",
         config.vocabulary - 1, "); tokenizer and model do not belong together");
  }
  const auto last = batch.positions.max().item<std::int64_t>();
  if (config.learned_positions && last >= config.max_positions) {
    fail(config.where, ": sequence too long (found ", last + 1, " tokens, expected at most ",
         config.max_positions, ", its learned positions); lower max_seq_length");
  }
}

}  // namespace

TextTensors to_tensors(const TextBatch& batch, at::Device device) {
  const std::vector<std::int64_t> shape = {batch.rows, batch.length};
  const auto tensor = [&](const std::vector<std::int64_t>& values, at::IntArrayRef sizes) {
    return at::tensor(values, at::kLong).view(sizes).to(device);
  };
  TextTensors tensors{.ids = tensor(batch.ids, shape),
                      .labels = tensor(batch.labels, shape),
                      .positions = tensor(batch.positions, shape)};
  // Padding behind the only document of a row is invisible to it anyway.
  bool causal_is_enough = true;
  std::vector<std::int64_t> rows, targets;
  for (std::int64_t place = 0; place < batch.rows * batch.length; ++place) {
    const auto at = static_cast<std::size_t>(place);
    if (place % batch.length == 0) {
      causal_is_enough &= batch.documents[at] == 1;
      continue;
    }
    causal_is_enough &= batch.documents[at] == batch.documents[at - 1] || batch.documents[at] == 0;
    if (batch.labels[at] == kIgnore) continue;
    rows.push_back(place - 1);
    targets.push_back(batch.labels[at]);
  }
  if (!causal_is_enough) tensors.documents = tensor(batch.documents, shape);
  const auto count = static_cast<std::int64_t>(rows.size());
  tensors.rows = tensor(rows, {count});
  tensors.targets = tensor(targets, {count});
  return tensors;
}

at::Tensor attend(const HfConfig& config, std::size_t layer, const Step& step, const at::Tensor& q,
                  const at::Tensor& k, const at::Tensor& v) {
  AttentionMask mask{.documents = step.documents, .window = config.windows[layer]};
  const double scale = config.attention_scales[layer];
  if (step.cache == nullptr) return attention(q, k, v, scale, mask, config.attention_softcap);
  auto& [keys, values] = step.cache->layers[layer];
  mask.past = step.cache->length;
  const at::Tensor all_keys = append(keys, k, mask.past);
  const at::Tensor all_values = append(values, v, mask.past);
  return attention(q, all_keys, all_values, scale, mask, config.attention_softcap);
}

at::Tensor needed_rows(const at::Tensor& x, const Step& step) {
  return step.rows.defined() ? x.flatten(0, 1).index_select(0, step.rows) : x;
}

Decoder::Decoder(const HfConfig& config, Modules& modules, const std::string& embedding,
                 const std::string& head)
    : config_(config) {
  const std::vector<std::int64_t> shape = {config.vocabulary, config.hidden};
  const bool by_head = config.tied && !modules.has(embedding) && modules.has(head);
  embedding_ = modules.tensor(by_head ? head : embedding, shape);
  head_ = config.tied && (by_head || !modules.has(head)) ? embedding_ : modules.tensor(head, shape);
  // A file may hold a head of its own although config.json ties them (merged adapters): it counts,
  // as in transformers 5.
  if (config.tied && head_.equal(embedding_)) head_ = embedding_;
  embedding_parameters_ = embedding_.numel();
}

void Decoder::for_each_layer(const LayerVisitor& visit) {
  for (std::size_t layer = 0; layer < config_.windows.size(); ++layer) visit_block(layer, visit);
}

Step Decoder::prepare(const TextTensors& batch) const {
  Step step{.documents = batch.documents};
  if (config_.learned_positions) return step;
  std::int64_t length = 0;
  if (config_.rope.type == "dynamic") length = batch.positions.max().item<std::int64_t>() + 1;
  RopeFrequencies frequencies =
      rope_frequencies(config_.rope, config_.head_dim, config_.max_positions, length);
  frequencies.inverse = frequencies.inverse.to(batch.positions.device());
  step.rope = rope_tables(frequencies, batch.positions);
  return step;
}

at::Tensor Decoder::run_block(std::size_t layer, const at::Tensor& x, const Step& step) {
  // The inside of the last block is needed at once: running it again would save nothing.
  const bool last = layer + 1 == config_.windows.size();
  if (!checkpointing_ || last || !at::GradMode::is_enabled()) return block(layer, x, step);
  std::vector<at::Tensor> parameters;
  visit_block(layer, [&](const std::string&, Layer& inside) {
    append_trainable(inside.adapters, parameters);
  });
  const auto body = [this, layer, step](const at::Tensor& input) {
    return block(layer, input, step);
  };
  return checkpoint(body, x, parameters);
}

at::Tensor Decoder::run(const TextTensors& batch, Step step, const at::Tensor& rows,
                        const Watch& watch) {
  check_batch(batch, config_);
  at::Tensor x = embed(batch.ids, batch.positions);
  for (std::size_t layer = 0; layer < config_.windows.size(); ++layer) {
    if (watch) watch(x);
    if (layer + 1 == config_.windows.size()) step.rows = rows;
    x = run_block(layer, x, step);
  }
  return x;
}

Loss Decoder::loss(const TextTensors& batch) {
  const Targets targets = targets_of(batch);
  const std::int64_t count = targets.rows.size(0);
  if (count == 0) return {at::zeros({}, at::kFloat).to(batch.ids.device()).requires_grad_(true), 0};
  const at::Tensor hidden = final_norm(run(batch, prepare(batch), targets.rows));
  return {linear_cross_entropy(hidden, head_, targets.labels, config_.final_softcap),
          static_cast<double>(count)};
}

at::Tensor Decoder::head_logits(const at::Tensor& hidden) const {
  const at::Tensor logits = at::linear(hidden, head_).to(at::kFloat);
  const double cap = config_.final_softcap;
  return cap > 0 ? (logits / cap).tanh() * cap : logits;
}

at::Tensor Decoder::logits(const TextTensors& batch) {
  return head_logits(final_norm(run(batch, prepare(batch), {})));
}

std::vector<at::Tensor> Decoder::hidden_states(const TextTensors& batch) {
  std::vector<at::Tensor> states;
  const at::Tensor last =
      run(batch, prepare(batch), {}, [&](const at::Tensor& x) { states.push_back(x); });
  states.push_back(final_norm(last));
  return states;
}

at::Tensor Decoder::next_logits(const TextTensors& batch, KeyValueCache& cache) {
  const at::NoGradGuard no_grad;
  const std::int64_t length = batch.ids.size(1);
  cache.layers.resize(config_.windows.size());
  cache.documents = append_documents(cache, batch);
  Step step = prepare(batch);
  step.documents = cache.documents;
  step.cache = &cache;
  const at::Tensor ends = at::arange(length - 1, batch.ids.numel(), length, batch.ids.options());
  const at::Tensor hidden = final_norm(run(batch, step, ends));
  cache.length += length;
  return head_logits(hidden);
}

}  // namespace lora
