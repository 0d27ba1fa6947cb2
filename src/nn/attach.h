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

// What an attached adapter is for; see Adapter.
struct AdapterUse {
  double weight = 1, dropout = 0;
  bool trains = true;
};

// Puts every matched module upon the stack of its layer: float32 copies of A (LoCon core multiplied
// in), B and magnitude in the shapes of the layer's kind (1x1 convolutions); alpha and scale as in
// the file. The match must be complete (require_complete). Throws what add_adapter throws.
void attach(const AdapterFile& file, const AdapterMatch& match,
            const std::vector<NamedLayer>& layers, const AdapterUse& use = {});

// The reverse: the adapters that train as a file in memory, ready for the writers. Fields other
// than modules, use_dora and use_rslora are left for the caller. `kind` as the model's.
AdapterFile detach(const std::vector<NamedLayer>& layers, AdapterKind kind);

}  // namespace lora
