import { BlockList } from 'node:net';

/** The special-purpose ranges of IANA's registries: whatever does not lead to a host on the public internet. */
const ipv4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
];

/** All but 2000::/3 (global unicast), and what in there leads to an IPv4 address or nowhere. */
const ipv6 = [
  ...['::/3', '4000::/2', '8000::/1'],
  ...['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'],
];

// A list of each: in one, IPv4 addresses would be looked for under ::ffff:0:0/96 as well.
const notPublic = { ipv4: listOf('ipv4', ipv4), ipv6: listOf('ipv6', ipv6) };

function listOf(family: 'ipv4' | 'ipv6', ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = '', bits] = range.split('/');
    list.addSubnet(network, Number(bits), family);
  }
  return list;
}

/** @param address an IPv4 or IPv6 address, not a name */
export function isPrivateAddress(address: string): boolean {
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  return notPublic[family].check(address, family);
}
