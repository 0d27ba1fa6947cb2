// SPDX-License-Identifier: Apache-2.0
// Keys and values that other programs write: what is said instead.
#include <gtest/gtest.h>

#include "base/error.h"
#include "config/config_fixture.h"

namespace lora {
namespace {

struct Foreign {
  const char* name;
  const char* yaml;  // behind a valid configuration for images
  const char* message;
};

const Foreign kForeign[] = {
    {"resolution_of_two_edges",
     "resolution: 64,96\n",
     "a.yaml:4:13: resolution: not a square (found width 64, height 96, expected one edge); give "
     "one edge, and buckets: true to keep the proportions of the pictures"},
    {"max_token_length_of_lora_scripts",
     "max_token_length: 255\n",
     "a.yaml:4:1: max_token_length: unknown choice (found 255, expected one of 75, 150, 225); 225 "
     "is what is meant"},
    {"optimizer_of_8_bits",
     "optimizer_type: AdamW8bit\n",
     "a.yaml:4:17: optimizer: unknown choice (found 'AdamW8bit', expected one of adamw, lion, "
     "adafactor, sgd); write adamw: its state is float32 here"},
    {"key_of_lora_scripts",
     "v2: false\n",
     "a.yaml:4:1: v2: unknown key; leave it out: the kind of the model is read from its files"},
    {"column_of_texts_with_pictures",
     "columns: {instruction: q}\n",
     "a.yaml:4:1: columns: unknown role (found 'instruction', expected one of image, caption)"},
};

class ForeignWords : public ConfigTest {};

TEST_F(ForeignWords, AreAnsweredWithWhatToWrite) {
  for (const Foreign& row : kForeign) {
    try {
      image(row.yaml);
      ADD_FAILURE() << row.name << ": accepted";
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()), row.message) << row.name;
      EXPECT_EQ(error.code(), Exit::usage) << row.name;
    }
  }
}

}  // namespace
}  // namespace lora
