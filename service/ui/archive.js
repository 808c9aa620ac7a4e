// A ZIP file without compression, which pictures would not gain from. Names are UTF-8; no ZIP64: less than 4 GiB.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
const UTF8 = 0x0800;

/** files: [{name, data: Uint8Array}] to a Blob. */
export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, data } of files) {
    const title = new TextEncoder().encode(name);
    const facts = [20, UTF8, 0, ...stamp(new Date()), checksum(data), data.length, data.length, title.length];
    const head = record(0x04034b50, [[2, facts.slice(0, 5)], [4, facts.slice(5, 8)], [2, [facts[8], 0]]]);
    directory.push(record(0x02014b50, [[2, [20, ...facts.slice(0, 5)]], [4, facts.slice(5, 8)],
      [2, [facts[8], 0, 0, 0, 0]], [4, [0, offset]]]), title);
    parts.push(head, title, data);
    offset += head.length + title.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record(0x06054b50, [[2, [0, 0, files.length, files.length]], [4, [size, offset]], [2, [0]]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A signature and groups of little-endian numbers, each [bytes, numbers]. */
function record(signature, groups) {
  const bytes = [];
  const write = (value, count) => { for (let i = 0; i < count; i += 1) bytes.push((value >>> (8 * i)) & 255); };
  write(signature, 4);
  for (const [count, numbers] of groups) numbers.forEach((value) => write(value, count));
  return Uint8Array.from(bytes);
}

function checksum(data) {
  let value = 0xffffffff;
  for (const byte of data) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** MS-DOS time and date. */
function stamp(date) {
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  return [time, ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate()];
}
