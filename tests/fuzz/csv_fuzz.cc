// SPDX-License-Identifier: Apache-2.0
#include "io/csv.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lora::Path file = lora::fuzz::folder().file("a.csv", lora::fuzz::text_of(data, size));
  lora::fuzz::attempt([&] {
    const lora::CsvTable table = lora::read_csv(file);
    std::string again = lora::csv_line(table.header);
    for (const lora::CsvRow& row : table.rows) again += lora::csv_line(row.cells);
    lora::read_csv(lora::fuzz::folder().file("b.csv", again));
  });
  return 0;
}
