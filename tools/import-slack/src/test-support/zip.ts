import { crc32, deflateRawSync } from 'node:zlib';

/** A zip of these files, by the format's book. `sizes` lets an entry claim another size than it has. */
export function zipOf(files: Record<string, string | Buffer>, sizes: Record<string, number> = {}): Buffer {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const bytes = Buffer.from(content as string);
    const packed = deflateRawSync(bytes);
    const named = Buffer.from(name);
    // Version, flags (names are UTF-8), method (deflate), time, date, checksum, sizes, length of the name.
    const about = Buffer.alloc(26);
    [20, 0x800, 8, 0, 0x21].forEach((value, i) => about.writeUInt16LE(value, i * 2));
    about.writeUInt32LE(crc32(bytes), 10);
    about.writeUInt32LE(packed.length, 14);
    about.writeUInt32LE(sizes[name] ?? bytes.length, 18);
    about.writeUInt16LE(named.length, 22);
    const header = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), about, named, packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), about, place, named]));
    local.push(header);
    offset += header.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...local, directory, end]);
}
