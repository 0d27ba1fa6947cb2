// SPDX-License-Identifier: Apache-2.0
// Between adapter files and the layers of a model.
#pragma once

#include <vector>

#include "io/adapters/adapter_file.h"
#include "io/adapters/match.h"
#include "nn/layer.h"

namespace lora {

struct NamedLayer {
  std::string name;
  Layer* layer = nullptr;
};

// Names and weight shapes of the layers, for match_adapter; none `expected`.
std::vector<LayerShape> shapes_of(const std::vector<NamedLayer>& layers);

// The slot content of one module: float32 copies of A (LoCon core multiplied in), B and magnitude;
// alpha and scale as in the file. Shapes are brought to the layer's kind (1x1 convolutions).
std::shared_ptr<Adapter> make_adapter(const AdapterModule& module, const Layer& layer);

// Puts every matched module into its layer, replacing what was there. The match must be complete
// (require_complete).
void attach(const AdapterFile& file, const AdapterMatch& match,
            const std::vector<NamedLayer>& layers);

// The reverse: the adapters of the layers as a file in memory, ready for the writers. Fields other
// than modules, use_dora and use_rslora are left for the caller. `kind` as the model's.
AdapterFile detach(const std::vector<NamedLayer>& layers, AdapterKind kind);

}  // namespace lora
