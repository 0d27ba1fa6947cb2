// SPDX-License-Identifier: Apache-2.0
#include "runs/answers.h"

#include <algorithm>

namespace lora {
namespace {

Ids prompt_ids(const TextSession& session, const TextRequest& request, const std::string& prompt) {
  if (request.raw) return session.tokenizer->encode(prompt, {.add_special = true});
  std::vector<Message> messages;
  if (!request.system.empty()) messages.push_back({"system", request.system});
  messages.push_back({"user", prompt});
  return session.prompt->prompt_ids(messages);
}

}  // namespace

std::vector<Answer> answers(const TextSession& session, const std::vector<NamedVersion>& versions,
                            TextRequest request) {
  const Ids& stop = request.options.stop = session.prompt->stop_ids();
  std::vector<Ids> prompts;
  for (const std::string& prompt : request.prompts) {
    prompts.push_back(prompt_ids(session, request, prompt));
  }
  std::vector<Answer> all(prompts.size() * versions.size());
  for (std::size_t v = 0; v < versions.size(); ++v) {
    apply_version(versions[v], session.layers);
    const std::vector<Ids> out =
        generate(*session.model, prompts, request.options, session.machine.device);
    for (std::size_t p = 0; p < prompts.size(); ++p) {
      const Ids& ids = out[p];
      all[p * versions.size() + v] = {
          .version = versions[v].label,
          .prompt = request.prompts[p],
          .text = session.tokenizer->decode(ids, true),
          .ids = ids,
          .finished = !ids.empty() && std::ranges::find(stop, ids.back()) != stop.end()};
    }
  }
  return all;
}

}  // namespace lora
