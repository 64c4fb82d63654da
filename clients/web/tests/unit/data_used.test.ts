import { expect, it } from "vitest";
import { DataUsed } from "../../src/session/data_used";

it("counts headers, and goes on over connections and reloads", () => {
  const used = new DataUsed(1_000);
  expect(used.add({ bytes_sent: 500, header_bytes_sent: 200, packets_sent: 10 })).toBe(2_080);
  expect(used.add({ bytes_sent: 900, header_bytes_sent: 300, packets_sent: 20 })).toBe(2_960);
  expect(used.add({})).toBe(2_960);
  expect(used.add({ bytes_sent: 100 })).toBe(3_060);
});
