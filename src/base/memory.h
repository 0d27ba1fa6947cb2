// SPDX-License-Identifier: Apache-2.0
// Memory of the process.
#pragma once

namespace lora {

// Tells the C library to keep freed memory instead of giving it back to the system: tensors of
// every step then land on pages that are already mapped. No effect on other C libraries than glibc.
void keep_freed_memory();

// Ends the program with one line and exit code 1, instead of the signal SIGBUS, where a file that
// is mapped (files.h) became shorter meanwhile.
void tell_of_lost_pages();

// Largest resident set so far, in GiB; 0 where the system does not say.
double peak_memory_gib();

}  // namespace lora
