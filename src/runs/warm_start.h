// SPDX-License-Identifier: Apache-2.0
// The version that a run continues from: found, read, compared with the run, put into the model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runs/train_task.h"

namespace lora {

// Reads the adapter that init_lora_weights names; nothing for a run without a parent.
std::optional<ParentVersion> find_parent(const Config& config);

ParentFacts parent_facts(const ParentVersion& parent);

// What the parent was trained on, for replay. Throws Error (usage) where no version of lora stands
// behind the adapter.
const DataRecord& replayed_data(const std::optional<ParentVersion>& parent);

// Throws Error where the parent is an adapter for another kind of model than these layers are of.
void check_parent_kind(const ParentVersion& parent, const std::vector<NamedLayer>& layers);

// Does the file adapt UNet and text encoder? One of the text encoder alone does not say that the
// UNet is to be left alone: such a run sets train_text_encoder itself.
bool adapts_both(const AdapterFile& adapter);

// The layers that the parent's file adapts, in the model's order.
std::vector<NamedLayer> parent_layers(const ParentVersion& parent,
                                      const std::vector<NamedLayer>& layers);

// Puts the parent's adapter into the target layers. Every tensor must find a place and every
// target layer a tensor. With rank_policy: grow a smaller parent is widened first: new random rows
// of A, zero columns of B, the same scale, so that it computes the same.
// Returns "64 of 64 modules (128 tensors), rank 8, scale 2, parent support_v1".
std::string attach_parent(const Config& config, const ParentVersion& parent,
                          const std::vector<NamedLayer>& layers,
                          const std::vector<NamedLayer>& targets);

// The loss on the parent's probe must be the one that was recorded; throws Error where it is not.
// Returns it; nullopt where the parent has no probe.
std::optional<double> check_probe(const ParentVersion& parent, const Precision& precision,
                                  TrainTask& task);

}  // namespace lora
