// SPDX-License-Identifier: Apache-2.0
// Included first by clang 14 (checks.cmake). It instantiates the constexpr members of GCC 12's
// std::vector where it first sees them, which fails for libtorch's vectors of types that are not
// complete yet: declare that one class without constexpr.
#pragma once

#include <string>  // reads everything else that <vector> needs, unchanged

#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR
#define __fill_a1 __fill_bits
#include <vector>
#undef __fill_a1
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR constexpr

// std::fill of a vector<bool> is declared constexpr in <string> and would be defined in <vector>.
[[gnu::weak, gnu::used]] void fill_bits(std::_Bit_iterator begin, std::_Bit_iterator end,
                                        const bool& value)
    __asm__("_ZSt9__fill_a1St13_Bit_iteratorS_RKb");
void fill_bits(std::_Bit_iterator begin, std::_Bit_iterator end, const bool& value) {
  std::__fill_bits(begin, end, value);
}
