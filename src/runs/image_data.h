// SPDX-License-Identifier: Apache-2.0
// Between the configuration and the pictures of a run.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/config.h"
#include "data/image_dataset.h"
#include "data/image_source.h"
#include "io/adapters/adapter_file.h"
#include "models/sd_generate.h"

namespace lora {

ImageDataOptions image_data_options(const Config& config);
std::vector<ImageEntry> entries(const std::vector<ImageRecord>& records);
// sample_prompts with their size, steps, seed and sampler.
std::vector<ImageRequest> sample_requests(const Config& config);
// For the report: the folders of the pictures, where their captions came from, what shuffling does.
std::vector<std::string> picture_lines(const Config& config,
                                       const std::vector<ImageRecord>& pictures);
// Warnings of the prompts that the text encoder would read in part.
std::vector<std::string> cut_prompts(const Config& config, const SdPrompts& prompts);
// "512x768" -> width, height. Throws Error (usage).
Size parse_size(const std::string& text, const std::string& where);

// Where latents are kept: .cache below the output root; empty where cache_latents is off.
Path cache_folder(const Config& config);
// Hash of what encodes pictures: the VAE's file, or the checkpoint's.
std::string vae_key(const Config& config);

// Enough of a record to see the same pixels again.
nlohmann::json record_json(const ImageRecord& record);
// Throws Error where the picture is gone or changed.
ImageRecord record_from(const nlohmann::json& json);

// ss_tag_frequency: {"folder": {"tag": count}}
std::string tag_frequency(const std::vector<ImageRecord>& records, const std::string& folder);

}  // namespace lora
