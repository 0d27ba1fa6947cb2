// SPDX-License-Identifier: Apache-2.0
#include "config/version_name.h"

#include <gtest/gtest.h>

namespace lora {
namespace {

TEST(VersionName, OrdinaryNamesAreFree) {
  for (const char* name : {"starli_v1", "v1.2+b-3", "7", "客服_v2", "größer", "eva_v3", "base_v1",
                           "latest2", "pissa_style"}) {
    EXPECT_EQ(version_name_problem(name), "") << name;
  }
  EXPECT_EQ(version_name_problem(std::string(200, 'a')), "");
}

TEST(VersionName, WhatCouldBeReadAsSomethingElseIsRefused) {
  const std::string tail =
      "', expected letters, digits, '_', '-', '+' and '.', the first one neither '-' nor '.'); "
      "choose another, e.g. my_v1";
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"a/b", "a/b"},
      {"v1:0.5", "v1:0.5"},
      {"v1@2", "v1@2"},
      {"my v", "my v"},
      {".v1", ".v1"},
      {"-v1", "-v1"},
      {"..", ".."},
      {"a\x1b[2J", "a\\x1b[2J"},
      {"a\nb", "a\\nb"},
      {"a\x7f", "a\\u007f"},
      {"a\\b", "a\\b"},
      {"v\u202e1", "v\\u202e1"},
      {"v\u00a01", "v\u00a01"},
      {"v\u0085", "v\\u0085"},
  };
  for (const auto& [name, shown] : cases) {
    EXPECT_EQ(version_name_problem(name), "is no name for a version (found '" + shown + tail);
  }
  EXPECT_EQ(version_name_problem("gr\xf6\xdf"
                                 "er"),
            "is not valid UTF-8 (found byte 0xF6 at position 3); choose another, e.g. my_v1");
  EXPECT_EQ(version_name_problem(std::string(201, 'a')),
            "is too long for a name (found 201 bytes, expected at most 200); shorten it");
}

TEST(VersionName, ReservedWords) {
  EXPECT_EQ(version_name_problem("base"),
            "is a reserved word (found 'base', which stands for the base model without an "
            "adapter); choose another, e.g. base_v1");
  for (const char* name :
       {"Base", "latest", "current", "true", "False", "gaussian", "pissa", "pissa_niter_4", "olora",
        "loftq", "eva", "corda", "orthogonal", "lora_ga", "mica", "pytorch_lora_weights",
        "adapter_model"}) {
    EXPECT_NE(reserved_meaning(name), "") << name;
    EXPECT_NE(version_name_problem(name), "") << name;
  }
  EXPECT_EQ(reserved_meaning("v1"), "");
}

}  // namespace
}  // namespace lora
