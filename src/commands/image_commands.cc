// SPDX-License-Identifier: Apache-2.0
#include "commands/image_commands.h"

#include "base/error.h"

namespace lora {

int generate_images(const Arguments&) {
  fail_usage("lora generate: pictures are not available yet in this version");
}

int eval_images(const std::string&, const std::vector<NamedVersion>&,
                const std::vector<std::string>&, bool) {
  fail_usage("lora eval: pictures are not available yet in this version");
}

}  // namespace lora
